"""The operator as it is deployed: with the rights of its account and no more, beside a second one, under its probe."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.orchestrator.v1 import orchestrator_pb2_grpc
from ruamel.yaml import YAML

from chassis.testing.fake_kubernetes import Account, Client, FakeKubernetes

from .conftest import ROOT, Namespace, has_verdict

BASE = ROOT / "deploy" / "k8s" / "base" / "operator"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
Spec = Callable[..., dict[str, Any]]
TOKEN, ADMIN = "of-the-operator", "of-the-test"


def _objects(name: str) -> list[dict[str, Any]]:
    return [each for each in YAML(typ="safe").load_all((BASE / name).read_text(encoding="utf-8")) if each]


def _rules() -> list[dict[str, Any]]:
    return [rule for name in ("role.yaml", "cluster-role.yaml") for rule in _objects(name)[0]["rules"]]


@pytest.fixture
def as_deployed(namespace: Namespace, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The namespace as the operator's account sees it, with its peering object."""
    peering = f"/apis/kopf.dev/v1/namespaces/{namespace.name}/kopfpeerings"
    namespace.client.create(peering, _objects("peering.yaml")[0])
    path = tmp_path / "as-deployed"
    if request.node.callspec.params["namespace"] == "fake":
        fake: FakeKubernetes = request.getfixturevalue("fake")
        fake.account(TOKEN, Account("system:serviceaccount:candor:operator", _rules()))
        fake.account(ADMIN, Account("admin"))
        namespace.client.http.headers["Authorization"] = f"Bearer {ADMIN}"
        fake.kubeconfig(path, token=TOKEN, namespace=namespace.name)
        yield Namespace(namespace.client, namespace.name, path)
        return
    yield from _real_account(namespace, path)


def _real_account(namespace: Namespace, path: Path) -> Any:
    """A ServiceAccount with the Role and the ClusterRole of the manifests, and a token of it."""
    client, accounts = namespace.client, f"/api/v1/namespaces/{namespace.name}/serviceaccounts"
    client.create(accounts, _objects("account.yaml")[0])
    made = []
    for item in _objects("role.yaml") + _objects("cluster-role.yaml"):
        cluster = item["kind"].startswith("Cluster")
        if cluster:
            item["metadata"]["name"] = item["metadata"]["name"] + namespace.name
            if "roleRef" in item:
                item["roleRef"]["name"] = item["metadata"]["name"]
        for subject in item.get("subjects", ()):
            subject["namespace"] = namespace.name
        where = RBAC if cluster else f"{RBAC}/namespaces/{namespace.name}"
        kind = item["kind"].lower() + "s"
        client.create(f"{where}/{kind}", item)
        made += [f"{where}/{kind}/{item['metadata']['name']}"] if cluster else []
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = client.create(f"{accounts}/operator/token", wanted)["status"]["token"]
    config = YAML(typ="safe").load(namespace.kubeconfig.read_text(encoding="utf-8"))
    user = next(each["context"] for each in config["contexts"] if each["name"] == config["current-context"])["user"]
    config["users"] = [{"name": user, "user": {"token": token}}]
    path.write_text(json.dumps(config), encoding="utf-8")
    yield Namespace(client, namespace.name, path)
    for each in made:
        client.delete(each)


async def test_the_rights_of_its_account_are_enough(
    as_deployed: Any, orchestrator: Any, operators: Any, spec: Spec, tmp_path: Path
) -> None:
    operators.start(as_deployed, orchestrator.target, peering="candor-operator", peering_seconds="10")
    as_deployed.create(spec(items=12))
    await as_deployed.until(has_verdict)
    assert await as_deployed.events("Created")
    as_deployed.delete()
    await as_deployed.until_gone()
    log = (tmp_path / "operator-0.log").read_text(encoding="utf-8")
    assert "orbidden" not in log
    assert "permission" not in log


@pytest.mark.parametrize("namespace", ["fake"], indirect=True)
async def test_without_the_rights_to_look_around_in_the_cluster_it_works_in_its_namespace(
    namespace: Any, fake: FakeKubernetes, orchestrator: Any, operators: Any, spec: Spec, tmp_path: Path
) -> None:
    fake.account(TOKEN, Account("system:serviceaccount:candor:operator", _objects("role.yaml")[0]["rules"]))
    fake.account(ADMIN, Account("admin"))
    namespace.client.http.headers["Authorization"] = f"Bearer {ADMIN}"
    path = fake.kubeconfig(tmp_path / "as-deployed", token=TOKEN, namespace=namespace.name)
    operators.start(Namespace(namespace.client, namespace.name, path), orchestrator.target)
    namespace.create(spec(items=12))
    await namespace.until(has_verdict)


async def test_of_two_operators_one_leads_and_the_other_takes_over(
    as_deployed: Any, orchestrator: Any, operators: Any, spec: Spec, tmp_path: Path
) -> None:
    settings = {"peering": "candor-operator", "peering_seconds": "10"}
    leader = operators.start(as_deployed, orchestrator.target, **settings, peering_priority="2", identity="first")
    as_deployed.create(spec(items=12), name="before")
    await as_deployed.until(has_verdict, name="before")
    operators.start(as_deployed, orchestrator.target, **settings, peering_priority="1", identity="second")
    peering = f"/apis/kopf.dev/v1/namespaces/{as_deployed.name}/kopfpeerings"
    await _until_peers(as_deployed.client, peering, {"first", "second"})
    leader.kill()
    leader.wait()
    as_deployed.create(spec(items=12), name="after")
    await as_deployed.until(has_verdict, name="after")
    assert len(await orchestrator.evaluations()) == 2
    followed = (tmp_path / "operator-1.log").read_text(encoding="utf-8")
    assert "/after: Verdict" in followed
    assert "/before: " not in followed


class _Slow(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Takes for ever to create an evaluation."""

    def __init__(self) -> None:
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def CreateEvaluation(self, request: Any, context: Any) -> Any:  # noqa: N802  # the name is the RPC's
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.let_go.set()


@pytest.fixture
async def slow() -> AsyncIterator[tuple[_Slow, str]]:
    servicer, server = _Slow(), grpc.aio.server()
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(None)


async def test_an_operator_that_gives_way_in_the_midst_of_a_call_lets_go_of_it(
    as_deployed: Any, orchestrator: Any, operators: Any, spec: Spec, slow: tuple[_Slow, str], tmp_path: Path
) -> None:
    settings = {"peering": "candor-operator", "peering_seconds": "10"}
    servicer, target = slow
    operators.start(as_deployed, target, **settings, peering_priority="1", identity="first")
    as_deployed.create(spec(items=12))
    await asyncio.wait_for(servicer.asked.wait(), 60)
    operators.start(as_deployed, orchestrator.target, **settings, peering_priority="2", identity="second")
    await asyncio.wait_for(servicer.let_go.wait(), 60)
    await as_deployed.until(has_verdict)
    assert len(await orchestrator.evaluations()) == 1
    assert ": Created: " not in (tmp_path / "operator-0.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("namespace", ["fake"], indirect=True)
async def test_one_operator_may_serve_all_namespaces(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec
) -> None:
    client = namespace.client
    client.create("/apis/kopf.dev/v1/clusterkopfpeerings", {"metadata": {"name": "all"}})
    client.create("/api/v1/namespaces", {"metadata": {"name": "elsewhere"}})
    operators.start(namespace, orchestrator.target, namespaces="[]", cluster_wide="true", peering="all")
    elsewhere = Namespace(client, "elsewhere", namespace.kubeconfig)
    for each in (namespace, elsewhere):
        each.create(spec(items=12))
    for each in (namespace, elsewhere):
        await each.until(has_verdict)
    assert len(await orchestrator.evaluations()) == 2


@pytest.mark.parametrize("namespace", ["real"], indirect=True)
async def test_kubectl_waits_and_lists(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec, tmp_path: Path
) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here: waiting and listing were not run")
    operators.start(namespace, orchestrator.target)
    namespace.create(spec(items=12))

    async def told(*arguments: str) -> str:
        command = [kubectl, "--kubeconfig", str(namespace.kubeconfig), "--namespace", namespace.name, *arguments]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    assert "condition met" in await told("wait", "evl/nightly", "--for=condition=Verdict", "--timeout=90s")
    header, line = (await told("get", "evl")).splitlines()
    assert header.split() == ["NAME", "ARMS", "PHASE", "VERDICT", "DONE/TOTAL", "AGE"]
    assert line.split()[:5] == ["nightly", "v1,", "v2", "Done", "FAIL"]
    assert "worse" in await told("get", "evl", "-o", "wide")
    assert "percentage points" in await told("explain", "evl.spec.gate.margin_pp")


async def _until_peers(client: Client, path: str, names: set[str]) -> None:
    def wait() -> None:
        while True:
            found = client.get(path)
            if names <= set(found["items"][0].get("status") or ()):
                return
            client.watch(path, resourceVersion=found["metadata"]["resourceVersion"])

    await asyncio.wait_for(asyncio.to_thread(wait), 60)


@pytest.mark.parametrize("namespace", ["fake"], indirect=True)
async def test_the_probe_fails_when_the_watch_is_dead(
    namespace: Any, fake: FakeKubernetes, orchestrator: Any, operators: Any, spec: Spec
) -> None:
    port = orchestrator.port + 3
    operators.start(namespace, orchestrator.target, liveness_port=str(port), watch_seconds="3")
    namespace.create(spec(items=12))
    await namespace.until(has_verdict)
    assert await asyncio.to_thread(_probe, port) == 200
    fake.refuse(500, left=10_000, what=r"GET .*/evaluations")
    fake.drop_watches()
    assert await asyncio.to_thread(_probe_until_it_fails, port) == 500
    fake.faults.refusals.clear()


def _probe(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _probe_until_it_fails(port: int) -> int:
    """As a kubelet does: again and again; the operator remembers an answer for ten seconds."""
    deadline = time.monotonic() + 90
    while (code := _probe(port)) == 200 and time.monotonic() < deadline:
        threading.Event().wait(1)
    return code
