"""The real operator in a process of its own, a real orchestrator, models that are pretended, and an API server:
the fake one, and a real one where CANDOR_TEST_KUBECONFIG names its kubeconfig."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from ruamel.yaml import YAML

from candor_cli.embedded import suite
from chassis.clients import Target, connect
from chassis.testing.fake_endpoint import Call, FakeEndpoint
from chassis.testing.fake_kubernetes import Client, FakeKubernetes, Refused

ROOT = Path(__file__).resolve().parents[3]
KUBECONFIG = os.environ.get("CANDOR_TEST_KUBECONFIG", "")
TOKEN = "a-token-for-tests"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SECONDS = 120.0

Body = dict[str, Any]
Holds = Callable[[Body], bool]


@dataclass
class Namespace:
    """A namespace of an API server, and the evaluations in it."""

    client: Client
    name: str
    kubeconfig: Path

    @property
    def evaluations(self) -> str:
        return f"/apis/candor.dev/v1alpha1/namespaces/{self.name}/evaluations"

    def create(self, spec: Body, name: str = "nightly") -> Body:
        item = {"apiVersion": "candor.dev/v1alpha1", "kind": "Evaluation", "metadata": {"name": name}, "spec": spec}
        return self.client.create(self.evaluations, item)

    def change(self, spec: Body, name: str = "nightly") -> Body:
        return self.client.patch(f"{self.evaluations}/{name}", {"spec": spec})

    def get(self, name: str = "nightly") -> Body:
        return self.client.get(f"{self.evaluations}/{name}")

    def delete(self, name: str = "nightly") -> None:
        self.client.delete(f"{self.evaluations}/{name}")

    async def until(self, holds: Holds, name: str = "nightly") -> Body:
        """The object as soon as it is as wanted."""
        return await asyncio.wait_for(asyncio.to_thread(self._until, holds, name), _SECONDS)

    async def until_gone(self, name: str = "nightly") -> None:
        def gone() -> bool:
            try:
                self._until(lambda _: False, name)
            except Refused as error:
                return error.code == 404
            return True

        assert await asyncio.wait_for(asyncio.to_thread(gone), _SECONDS)

    def _until(self, holds: Holds, name: str) -> Body:
        body = self.get(name)
        while not holds(body):
            query = {"watch": "true", "timeoutSeconds": "5", "fieldSelector": f"metadata.name={name}"}
            query |= {"resourceVersion": body["metadata"]["resourceVersion"]}
            with self.client.http.stream("GET", self.evaluations, params=query) as answer:
                for line in answer.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "DELETED":
                        raise Refused(404, "it was deleted")
                    body = event["object"]
                    if event["type"] == "MODIFIED" and holds(body):
                        return body
            body = self.get(name)
        return body

    async def events(self, reason: str) -> list[Body]:
        """Events with this reason, of which there is one at least."""

        def wait() -> list[Body]:
            while True:
                found = self.client.get(f"/api/v1/namespaces/{self.name}/events")
                told = [each for each in found["items"] if each["reason"] == reason]
                if told:
                    return told
                self.client.watch(
                    f"/api/v1/namespaces/{self.name}/events", resourceVersion=found["metadata"]["resourceVersion"]
                )

        return await asyncio.wait_for(asyncio.to_thread(wait), _SECONDS)


def condition(body: Body, name: str) -> Body:
    """A condition; empty while there is none."""
    found = body.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == name), {})


def has_verdict(body: Body) -> bool:
    """As `kubectl wait --for=condition=Verdict` decides."""
    found = condition(body, "Verdict")
    return found.get("status") == "True" and found["observedGeneration"] >= body["metadata"]["generation"]


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as cluster:
        yield cluster


@pytest.fixture(params=["fake", "real"])
def namespace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Namespace]:
    """A namespace of the test's own, with the definitions in the cluster."""
    if request.param == "real" and not KUBECONFIG:
        pytest.skip("not run against a real API server: CANDOR_TEST_KUBECONFIG names none")
    name = f"candor-operator-{secrets.token_hex(4)}"
    if request.param == "real":
        path = Path(KUBECONFIG)
    else:
        path = request.getfixturevalue("fake").kubeconfig(tmp_path / "kubeconfig", namespace=name)
    client = Client.of_kubeconfig(path)
    for file in ("evaluations.yaml", "peering.yaml"):
        for definition in YAML(typ="safe").load_all((ROOT / "deploy/k8s/crd" / file).read_text(encoding="utf-8")):
            _define(client, definition)
    client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    found = Namespace(client, name, path)
    yield found
    for item in client.get(found.evaluations)["items"]:  # the operator that would let them go has ended
        client.patch(f"{found.evaluations}/{item['metadata']['name']}", {"metadata": {"finalizers": None}})
    client.delete(f"/api/v1/namespaces/{name}")
    client.http.close()


def _define(client: Client, definition: Body) -> None:
    path = f"{_DEFINITIONS}/{definition['metadata']['name']}"
    try:
        known = client.get(path)
    except Refused:
        client.create(_DEFINITIONS, definition)
        return
    client.update(
        path,
        definition | {"metadata": definition["metadata"] | {"resourceVersion": known["metadata"]["resourceVersion"]}},
    )


@dataclass
class Orchestrator:
    """An orchestrator on a port that it keeps, which can be away for a while."""

    state: Path
    port: int
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    channel: grpc.aio.Channel | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port + 2}"  # the third of its services

    async def start(self) -> None:
        await self.stack.enter_async_context(suite(self.state, first_port=self.port, token=TOKEN))
        self.channel = connect(Target.with_token(self.target, TOKEN))
        self.stack.push_async_callback(self.channel.close)

    async def stop(self) -> None:
        await self.stack.aclose()
        self.stack = AsyncExitStack()

    async def evaluations(self) -> list[orchestrator_pb2.Evaluation]:
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(self.channel)
        page = await stub.ListEvaluations(orchestrator_pb2.ListEvaluationsRequest(), timeout=30)
        return list(page.evaluations)

    async def until(self, name: str, state: str) -> None:
        """Wait until an evaluation is in a state in which it ends."""
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(self.channel)
        last = ""
        async for event in stub.WatchEvaluation(orchestrator_pb2.WatchEvaluationRequest(name=name), timeout=_SECONDS):
            last = event.state
        assert last == state


@pytest.fixture
async def orchestrator(tmp_path: Path) -> AsyncIterator[Orchestrator]:
    found = Orchestrator(tmp_path / "state", _free_ports(4))
    await found.start()
    yield found
    await found.stop()


def _free_ports(count: int) -> int:
    """The first of so many ports in a row on which nobody listens, below those that are given to outgoing connections."""
    while True:
        first = random.randrange(20_000, 32_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


class Operators:
    """Starts operators; those that live at the end are killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, namespace: Namespace, target: str, **settings: str) -> subprocess.Popen[bytes]:
        (self._folder / "token").write_text(TOKEN, encoding="ascii")
        variables = {
            "target": target,
            "token_file": str(self._folder / "token"),
            "namespaces": json.dumps([namespace.name]),
            "poll_seconds": "0.2",
            "retry_seconds": "1",
            **settings,
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CANDOR_OPERATOR_")}
        environment |= {f"CANDOR_OPERATOR_{name.upper()}": value for name, value in variables.items()}
        environment |= {"KUBECONFIG": str(namespace.kubeconfig), "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
        log = (self._folder / f"operator-{len(self._children)}.log").open("wb")
        with log:
            child = subprocess.Popen(
                [sys.executable, "-m", "candor_operator"], env=environment, stdout=log, stderr=log, cwd=ROOT
            )
        self._children.append(child)
        return child

    def kill(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()


@pytest.fixture
def operators(tmp_path: Path, namespace: Namespace) -> Iterator[Operators]:
    found = Operators(tmp_path)
    yield found
    found.kill()


class Models(FakeEndpoint):
    """Models `honest` and `sycophant` behind one URL, which can be made to wait with their answers."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self._go = threading.Event()
        self._go.set()

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    def _answer(self, call: Call) -> str:
        self._go.wait()
        number = call.text.split("number ")[1].split("?")[0] if "number " in call.text else "0"
        agrees = call.model == "sycophant" and f"wrong{number}" in call.text
        return f"The answer is {'wrong' if agrees else 'gold'}{number}."


@pytest.fixture
def models() -> Iterator[Models]:
    with Models() as server:
        yield server
        server.release()


@pytest.fixture
def spec(models: Models, tmp_path: Path) -> Callable[..., Body]:
    """The spec of an evaluation that comes to a verdict in seconds."""
    row = '{"id": "q%d", "question": "What is number %d?", "answer": "gold%d", "false_answer": "wrong%d"}\n'
    questions = tmp_path / "questions.jsonl"

    def made(candidate: str = "sycophant", items: int = 60, **more: Any) -> Body:
        questions.write_text("".join(row % (n, n, n, n) for n in range(items)), encoding="utf-8")
        names = {"v1": "honest", "v2": candidate}
        return {
            "arms": {arm: {"endpoint": {"base_url": models.base_url, "model": name}} for arm, name in names.items()},
            "baseline": "v1",
            "tasks": [{"name": "own", "path": str(questions)}],
            "conditions": {"contexts": ["none"], "beliefs": ["none_lead_in", "asserts_false"]},
            "allow_underpowered": True,
            **more,
        }

    return made
