"""The parts of the training process that need no torch: publishing, saved states, its end as its server sees it."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.trainer import worker
from services.trainer.backends.process import adapters
from services.trainer.backends.process.adapters import publish
from services.trainer.backends.process.executor import ProcessExecutor
from services.trainer.backends.process.keeping import Keeper, Made, newest_state
from services.trainer.backends.process.order import Order
from services.trainer.domain.job import Job
from services.trainer.domain.schedule import plan
from services.trainer.domain.spec import Training, TrainingSpec
from services.trainer.ports import Done, Stepped

Spec = Callable[..., TrainingSpec]


def write_adapter(place: Path) -> None:
    place.mkdir()
    (place / "adapter_config.json").write_text('{"base_model_name_or_path": "relative", "r": 8}')
    (place / "adapter_model.safetensors").write_bytes(b"weights")


def test_an_adapter_appears_whole_with_an_absolute_base_and_a_card(tmp_path: Path) -> None:
    place, digest = publish(tmp_path, 5, "/models/base", write_adapter, "card")
    assert sorted(file.name for file in place.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert json.loads((place / "adapter_config.json").read_text())["base_model_name_or_path"] == "/models/base"
    # the same weights on a moved base are the same adapter
    assert publish(tmp_path, 6, "/elsewhere", write_adapter, "card")[1] == digest


def test_an_adapter_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    def breaks(place: Path) -> None:
        write_adapter(place)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        publish(tmp_path, 5, "/base", breaks, "card")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    first = publish(tmp_path, 5, "/base", write_adapter, "card")

    def other(place: Path) -> None:
        write_adapter(place)
        (place / "adapter_model.safetensors").write_bytes(b"other")

    assert publish(tmp_path, 5, "/base", other, "card") == first


def test_only_whole_states_are_taken_up_and_broken_ones_removed(tmp_path: Path) -> None:
    for step, whole in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / "complete").touch()
    assert newest_state(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-11").exists()
    assert newest_state(tmp_path / "none") is None


class Told:
    """A channel that remembers."""

    stopping = False

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, **values: Any) -> None:
        self.lines.append((kind, values))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def keeper(tmp_path: Path, spec_of: Spec, told: Told) -> Keeper:
    order = Order(spec=spec_of(), device="cpu", threads=1, state_seconds=1e9)
    shape = plan(Training(epochs=2, batch_size=2, checkpoint_epochs=(1,)), 4)
    return Keeper(order, tmp_path, shape, [10] * 4, [3] * 4, told, lambda: 7)  # type: ignore[arg-type]


def test_progress_counts_trained_tokens_and_ends_with_nothing_left(keeper: Keeper, told: Told) -> None:
    keeper.begin(0, None)
    for step in range(1, 5):
        keeper.stepped(step, 1.0, 0.1)
    last = told.lines[-1][1]
    assert (last["step"], last["steps"], last["epoch"], last["trained_tokens"]) == (4, 4, 2.0, 12)
    assert last["eta_seconds"] == 0
    assert last["tokens_per_second"] > 0


def test_a_loss_that_is_no_number_ends_training_with_a_reason(keeper: Keeper) -> None:
    with pytest.raises(CandorError, match="lower training") as caught:
        keeper.stepped(1, float("nan"), 0.1)
    assert caught.value.reason is Reason.TRAINING_FAILED


def test_state_is_saved_at_checkpoints_when_it_is_time_and_when_told_to_stop(
    keeper: Keeper, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [keeper.wants_state(step) for step in (1, 2, 3, 4)] == [False, True, False, True]
    told.stopping = True
    assert keeper.wants_state(1)


def test_a_checkpoint_that_a_crash_left_out_is_made_good_on_resuming(
    keeper: Keeper, told: Told, tmp_path: Path
) -> None:
    class Model:
        def save_pretrained(self, place: Path, **_: Any) -> None:
            write_adapter(place)

    keeper.begin(2, Model())
    assert [(kind, values["step"]) for kind, values in told.lines] == [("kept", 2)]
    assert (tmp_path / "checkpoint-2" / "adapter_model.safetensors").is_file()


def test_a_record_that_a_full_disk_cut_off_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "made.jsonl").write_text('{"step": 10, "pa')
    made = Made(tmp_path)
    record = {"step": 20, "path": str(tmp_path / "checkpoint-20")}
    made.add(record)
    assert made.read() == [record]


def test_a_state_that_has_no_room_after_all_does_not_count(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems that give out room late say so only when what was written is to be on disk."""

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "checkpoint-3").mkdir()
    monkeypatch.setattr(adapters.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keeper.saved(tmp_path, 3, None)
    assert newest_state(tmp_path) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), Reason.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), Reason.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), Reason.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Reason.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Reason.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Reason.DISK_FULL),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), Reason.DISK_FULL),
        (RuntimeError("I/O error: No space left on device (os error 28)"), Reason.DISK_FULL),
    ],
)
def test_lack_of_memory_and_of_space_have_names(error: Exception, reason: Reason, tmp_path: Path) -> None:
    known = worker._known(error, tmp_path)
    assert known is not None
    assert known.reason is reason


def test_other_errors_go_to_the_log(tmp_path: Path) -> None:
    assert worker._known(RuntimeError("shapes do not fit"), tmp_path) is None


class Scripted(ProcessExecutor):
    """Runs a script in place of the worker."""

    script = ""

    def _command(self, spec: TrainingSpec, folder: Path) -> list[str]:
        return ["-c", self.script]


async def run(script: str, folder: Path, spec: TrainingSpec, stop: asyncio.Event | None = None) -> list[Any]:
    executor = Scripted(stop_seconds=0.2)
    executor.script = script
    reports = []
    async for report in executor.run(Job(id="a", spec=spec), folder, stop or asyncio.Event()):
        reports.append(report)
        if isinstance(report, Stepped) and stop is not None:
            stop.set()
    return reports


async def test_the_log_of_a_process_that_died_is_told_without_its_traceback(tmp_path: Path, spec_of: Spec) -> None:
    with pytest.raises(CandorError) as caught:
        await run(
            "import sys; print('loading', file=sys.stderr); raise ValueError('shapes do not fit')", tmp_path, spec_of()
        )
    assert caught.value.reason is Reason.TRAINING_FAILED
    assert "ended with code 1" in caught.value.message
    assert "loading / ValueError: shapes do not fit" in caught.value.message
    assert "File" not in caught.value.message


async def test_a_process_that_the_system_killed_is_told_as_such(tmp_path: Path, spec_of: Spec) -> None:
    with pytest.raises(CandorError, match=r"signal 9 .*memory.*lower training.device_batch_size"):
        await run("import os; os.kill(os.getpid(), 9)", tmp_path, spec_of())


async def test_a_named_failure_keeps_its_name(tmp_path: Path, spec_of: Spec) -> None:
    line = json.dumps({"kind": "failed", "reason": "DISK_FULL", "message": "no space"})
    with pytest.raises(CandorError, match="no space") as caught:
        await run(f"print({line!r})", tmp_path, spec_of())
    assert caught.value.reason is Reason.DISK_FULL


STEP = json.dumps({"kind": "stepped", "step": 1, "steps": 2})


async def test_a_process_that_does_not_stop_when_told_is_ended(tmp_path: Path, spec_of: Spec) -> None:
    script = f"import signal; print({STEP!r}, flush=True); signal.pause()"
    async with asyncio.timeout(20):
        assert Done() not in await run(script, tmp_path, spec_of(), asyncio.Event())


async def test_a_process_that_ended_before_it_was_stopped_is_done(tmp_path: Path, spec_of: Spec) -> None:
    end = json.dumps({"kind": "ended", "finished": True})
    script = f"import sys; print({STEP!r}, flush=True); sys.stdin.read(); print({end!r})"
    assert (await run(script, tmp_path, spec_of(), asyncio.Event()))[-1] == Done()
