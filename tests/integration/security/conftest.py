"""Every service as it is built for a pod, with one file of callers; and its methods as the protos name them."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from candor.grader.v1 import grader_pb2
from candor.inference.v1 import inference_pb2
from candor.orchestrator.v1 import orchestrator_pb2
from candor.rewriter.v1 import rewriter_pb2
from candor.trainer.v1 import trainer_pb2

from chassis.egress import Egress
from chassis.logs import configure
from chassis.running import running
from services.grader import bootstrap as grader
from services.grader.settings import GraderSettings
from services.inference import bootstrap as inference
from services.inference.settings import InferenceSettings
from services.orchestrator import bootstrap as orchestrator
from services.orchestrator.settings import OrchestratorSettings
from services.rewriter import bootstrap as rewriter
from services.rewriter.settings import RewriterSettings
from services.trainer import bootstrap as trainer
from services.trainer.settings import TrainerSettings

PROTOS = {
    "grader": grader_pb2,
    "inference": inference_pb2,
    "rewriter": rewriter_pb2,
    "trainer": trainer_pb2,
    "orchestrator": orchestrator_pb2,
}


def methods(service: str) -> dict[str, Any]:
    """`/package.Service/Method` -> its descriptor."""
    (found,) = PROTOS[service].DESCRIPTOR.services_by_name.values()
    return {f"/{found.full_name}/{method.name}": method for method in found.methods}


def entry(token: str, *scopes: str, **limits: float) -> dict[str, Any]:
    """A caller as the file has it."""
    return {"token_sha256": hashlib.sha256(token.encode()).hexdigest(), "scopes": scopes, "limits": limits}


@dataclass
class Suite:
    """host:port by service; the file of callers may be changed under way."""

    callers: Path
    addresses: dict[str, str] = field(default_factory=dict)

    def write(self, **callers: dict[str, Any]) -> None:
        self.callers.write_text(json.dumps(callers))


async def ended(call: Any) -> grpc.StatusCode:
    """How a call ends, whatever it answers before."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


_Start = Callable[..., Any]


@pytest.fixture
def started(tmp_path: Path) -> _Start:
    """Starts services; every keyword that they do not share goes to all of them."""

    @asynccontextmanager
    async def start(*names: str, **common: Any) -> AsyncIterator[Suite]:
        suite = Suite(tmp_path / "callers.json")
        suite.write(**common.pop("callers"))
        shared: dict[str, Any] = {"callers_file": suite.callers, "drain_seconds": 2, **common}
        async with AsyncExitStack() as stack:
            for name in names:
                built, settings = _build(name, suite, tmp_path, shared)
                suite.addresses[name] = await stack.enter_async_context(running(built, settings))
            yield suite

    return start


def _build(name: str, suite: Suite, folder: Path, shared: dict[str, Any]) -> tuple[Any, Any]:
    egress = Egress.embedded()
    settings: Any
    if name == "grader":
        settings = GraderSettings(egress=egress, **shared)
        return grader.build(settings), settings
    if name == "inference":
        settings = InferenceSettings(egress=egress, **shared)
        return inference.build(settings), settings
    if name == "rewriter":
        settings = RewriterSettings(egress=egress, **shared)
        return rewriter.build(settings), settings
    if name == "trainer":
        settings = TrainerSettings(egress=egress, artifacts=folder / "artifacts", **shared)
        return trainer.build(settings), settings
    token = folder / "token"
    token.write_text("orchestrators-token")
    settings = OrchestratorSettings(
        embedded=True,
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
        artifacts_url=str(folder / "artifacts"),
        inference_targets={"*": suite.addresses.get("inference", "127.0.0.1:1")},
        grader_target=suite.addresses.get("grader", "127.0.0.1:1"),
        token_file=token,
        dataset_roots=[folder],
        **shared,
    )
    return orchestrator.build(settings), settings


@dataclass
class Logs:
    """What was logged, as it was written."""

    file: io.StringIO

    def read(self) -> str:
        return self.file.getvalue()

    def audit(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.read().splitlines()]
        return [line for line in lines if line.get("component") == "audit"]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    configure("json", "INFO")
    yield Logs(file)
    structlog.reset_defaults()
