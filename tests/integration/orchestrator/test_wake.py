"""Inference that is scaled to zero: the run says that it wants it, waits, and goes on once it is there."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.egress import Egress
from chassis.errors import Reason
from chassis.metrics import Metrics
from chassis.testing.running import running
from services.grader.bootstrap import build as build_grader
from services.grader.settings import GraderSettings
from services.inference.bootstrap import build as build_inference
from services.inference.settings import InferenceSettings
from services.orchestrator.bootstrap import build as build_orchestrator
from services.orchestrator.settings import OrchestratorSettings


async def test_a_run_waits_for_inference_that_sleeps_and_says_that_it_wants_it(
    tmp_path: Path,
    open_client: Callable[[str], Any],
    unused_port: Callable[[], int],
    questions: Callable[[int], bytes],
    document: Callable[..., evaluation_pb2.EvaluationSpec],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = asyncio.Event()

    def retried(metrics: Metrics, reason: Reason) -> None:
        counted(metrics, reason)
        tried.set()

    counted = Metrics.retried
    monkeypatch.setattr(Metrics, "retried", retried)
    data = questions(20)
    path = tmp_path / "questions.jsonl"
    path.write_bytes(data)
    spec = document(gate=evaluation_pb2.Gate(mode="none"))
    spec.tasks.add(name="own", path=str(path))
    grader = GraderSettings(egress=Egress.embedded())
    inference = InferenceSettings(egress=Egress.embedded(), port=unused_port())
    async with running(build_grader(grader), grader) as graders:
        settings = OrchestratorSettings(
            embedded=True,
            ledger_url=f"sqlite:///{tmp_path}/state/ledger.db",
            artifacts_url=f"{tmp_path}/state/artifacts",
            inference_targets={"endpoint": f"127.0.0.1:{inference.port}"},
            inference_wake_seconds=600,
            grader_target=graders,
            drain_seconds=0.2,
        )
        service = build_orchestrator(settings)

        def wanted() -> float | None:
            labels = {"class": "endpoint", "target": "endpoint"}
            return service.metrics.registry.get_sample_value("candor_inference_demand", labels)

        async with running(service, settings) as address:
            client = open_client(address)
            created = await client.create(spec)
            async with asyncio.timeout(60):
                await tried.wait()
            assert wanted() == 2, "both arms want to be described"
            async with running(build_inference(inference), inference):
                found = await client.finish(created.name)
            assert found.verdict == "NONE", found.reason
            assert wanted() == 0
