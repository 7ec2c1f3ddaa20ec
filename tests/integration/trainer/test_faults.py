"""A disk that fills and a memory that runs out in the middle of training: a clear error, and nothing half-written is taken for whole.

The faults are real ones, as an ordinary user can have them: from a certain moment on the system refuses the worker's writes
(RLIMIT_FSIZE, whatever library writes), or an allocation that no machine can grant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.errors import CandorError, Reason
from services.trainer.backends.process.executor import ProcessExecutor
from services.trainer.domain.job import Job
from services.trainer.domain.spec import Training, TrainingSpec
from services.trainer.ports import Done, Kept, Report, Started

_WORK = """
import os, resource, sys
from pathlib import Path
{fault}
from services.trainer.worker import main
os._exit(main(Path(sys.argv[1])))
"""
# From the moment at which a folder of this name is made, no file grows beyond so many bytes.
_FULL = """
def hook(event, arguments):
    if event == "os.mkdir" and str(arguments[0]).endswith({folder!r}):
        resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
sys.addaudithook(hook)
"""
# The thirteenth step wants more memory than there is.
_HUNGRY = """
import torch
from transformers import Trainer
real = Trainer.training_step
def step(self, *arguments, **named):
    if self.state.global_step >= 12:
        torch.empty(2**50)
    return real(self, *arguments, **named)
Trainer.training_step = step
"""
_ADAPTER = 1000


class Faulty(ProcessExecutor):
    """Carries out orders in a worker that meets a fault."""

    def __init__(self, fault: str) -> None:
        super().__init__(device="cpu", threads=1, state_seconds=1e9, estimates_time=False)
        self._fault = fault

    def _command(self, spec: TrainingSpec, folder: Path) -> list[str]:
        return ["-c", _WORK.format(fault=self._fault), str(folder)]


async def run(executor: ProcessExecutor, job: Job, folder: Path, reports: list[Report]) -> None:
    async for report in executor.run(job, folder, asyncio.Event()):
        reports.append(report)
        if isinstance(report, Kept):
            job.add(report.saved)


@pytest.fixture(scope="session")
def make_job(base: Path, conversations: Path) -> Callable[[], Job]:
    """Thirty steps; states and adapters after ten, twenty and thirty."""
    training = Training(learning_rate=0.01, epochs=3, batch_size=6, checkpoint_epochs=(1, 2))
    spec = TrainingSpec(base=str(base), dataset=str(conversations), training=training)
    return lambda: Job(id="a", spec=spec)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def unbroken(make_job: Callable[[], Job], tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = make_job()
    await run(Faulty(""), job, tmp_path_factory.mktemp("unbroken"), [])
    return job


@pytest.mark.parametrize(
    ("fault", "reason", "told", "goes_on_after"),
    [
        pytest.param(
            _FULL.format(folder="state/checkpoint-20", most=_ADAPTER), Reason.DISK_FULL, "make room", 10, id="state"
        ),
        # Larger than the adapter and smaller than the optimizer's file, which another library writes.
        pytest.param(
            _FULL.format(folder="state/checkpoint-20", most=70_000),
            Reason.DISK_FULL,
            "make room",
            10,
            id="state, the optimizer",
        ),
        pytest.param(
            _FULL.format(folder="/.checkpoint-20.new", most=_ADAPTER), Reason.DISK_FULL, "make room", 20, id="adapter"
        ),
        pytest.param(_HUNGRY, Reason.OUT_OF_MEMORY, "lower training.device_batch_size", 10, id="memory"),
    ],
)
async def test_a_fault_in_the_middle_is_named_and_mended_the_job_comes_to_the_same_weights(
    make_job: Callable[[], Job],
    unbroken: Job,
    tmp_path: Path,
    fault: str,
    reason: Reason,
    told: str,
    goes_on_after: int,
) -> None:
    job, reports, folder = make_job(), list[Report](), tmp_path / "job"
    folder.mkdir()
    with pytest.raises(CandorError) as caught:
        await run(Faulty(fault), job, folder, reports)
    assert caught.value.reason is reason
    assert told in caught.value.message
    assert Done() not in reports
    assert [saved.step for saved in job.checkpoints] == [10]
    assert sorted(path.name for path in folder.glob("*checkpoint-*")) == ["checkpoint-10"], "whole or not there"

    resumed: list[Report] = []
    await run(Faulty(""), job, folder, resumed)
    (started,) = [report for report in resumed if isinstance(report, Started)]
    assert started.step == goes_on_after, "a state that was cut off is not taken up"
    assert resumed[-1] == Done()
    assert [saved.step for saved in job.checkpoints] == [10, 20, 30]
    assert far_apart(job, unbroken) < 1e-6


def far_apart(one: Job, other: Job) -> float:
    from safetensors.numpy import load_file

    left, right = (load_file(Path(job.checkpoints[-1].path) / "adapter_model.safetensors") for job in (one, other))
    return max(float(abs(left[name] - right[name]).max()) for name in left)
