"""A replica says SERVING only while its ledger and the services that it calls answer."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from dbos import DBOS
from pydantic import ValidationError

from chassis.clients import Target, connect
from chassis.errors import CandorError, Reason
from chassis.serving import Service
from chassis.testing.running import running
from services.grader.bootstrap import build as build_grader
from services.grader.settings import GraderSettings
from services.inference.bootstrap import build as build_inference
from services.inference.settings import InferenceSettings
from services.orchestrator import bootstrap
from services.orchestrator.bootstrap import build
from services.orchestrator.settings import OrchestratorSettings


async def test_ready_needs_everything_that_is_called(tmp_path: Path, unused_port: Callable[[], int]) -> None:
    inference, grader = InferenceSettings(), GraderSettings()
    async with running(build_inference(inference), inference) as first:
        gone = OrchestratorSettings(
            ledger_url=f"sqlite:///{tmp_path}/a/ledger.db",
            artifacts_url=str(tmp_path / "artifacts"),
            inference_targets={"*": first},
            grader_target=f"127.0.0.1:{unused_port()}",
            executor_id="r1",
        )
        service = build(gone)
        assert not await service.ready()
        await service.close()
        async with running(build_grader(grader), grader) as second:
            there = gone.model_copy(update={"grader_target": second})
            service = build(there)
            assert await service.ready()
            assert await service.ready()
            await service.close()


async def test_inference_that_may_be_scaled_to_zero_is_not_needed_to_be_ready(
    tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    grader = GraderSettings()
    async with running(build_grader(grader), grader) as address:
        service = build(
            OrchestratorSettings(
                ledger_url=f"sqlite:///{tmp_path}/ledger.db",
                artifacts_url=str(tmp_path),
                inference_targets={"*": f"127.0.0.1:{unused_port()}"},
                inference_wake_seconds=900,
                grader_target=address,
                executor_id="r1",
            )
        )
        assert await service.ready()
        await service.close()


async def test_a_launch_that_takes_longer_than_health_waits_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    may_end = threading.Event()
    launch = DBOS.launch

    def slow() -> None:
        begun.append(1)
        assert may_end.wait(60)
        launch()

    monkeypatch.setattr(DBOS, "launch", slow)
    grader = GraderSettings()
    async with running(build_grader(grader), grader) as address:
        service = build(
            OrchestratorSettings(
                ledger_url=f"sqlite:///{tmp_path}/ledger.db",
                artifacts_url=str(tmp_path),
                grader_target=address,
                executor_id="r1",
            )
        )
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await _ready_within(service, 0.2)
        may_end.set()
        assert await _ready_within(service, 60.0)
        assert await _ready_within(service, 60.0)
        assert len(begun) == 1
        await service.close()


async def _ready_within(service: Service, seconds: float) -> bool:
    async with asyncio.timeout(seconds):
        return await service.ready()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////proc/nowhere/ledger.db", Reason.STORAGE_UNUSABLE),
        ("postgresql://127.0.0.1:1/none", Reason.LEDGER_LOCKED),
    ],
)
async def test_a_ledger_that_cannot_be_opened_is_said_at_the_start(tmp_path: Path, url: str, reason: Reason) -> None:
    settings = OrchestratorSettings(ledger_url=url, artifacts_url=str(tmp_path))
    with pytest.raises(CandorError) as caught:
        build(settings)
    assert caught.value.reason is reason


def test_ledger_and_runs_do_not_share_a_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with pytest.raises(ValidationError, match="another file"):
        OrchestratorSettings(ledger_url=url, runs_url=url)


async def test_the_largest_message_of_the_settings_holds_for_the_calls_made_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []

    def watched(target: Target, *, max_message_bytes: int) -> grpc.aio.Channel:
        limits.append(max_message_bytes)
        return connect(target, max_message_bytes=max_message_bytes)

    monkeypatch.setattr(bootstrap, "connect", watched)
    settings = OrchestratorSettings(
        ledger_url=f"sqlite:///{tmp_path}/ledger.db", artifacts_url=str(tmp_path), max_message_bytes=2**26
    )
    await build(settings).close()
    assert limits
    assert set(limits) == {2**26}
