"""What every way of training keeps to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.trainer.domain.job import Job
from services.trainer.ports import Done, Kept, Noted, Report, Started, Stepped, Waiting


async def run(ground: Any, job: Job, folder: Path, *, stop_at_step: int = 0) -> list[Report]:
    """All reports of a run, kept in the job as the service does."""
    stop = asyncio.Event()
    reports: list[Report] = []
    async for report in ground.executor.run(job, folder, stop):
        reports.append(report)
        if isinstance(report, Noted):
            job.resume |= report.values
        if isinstance(report, Kept):
            job.add(report.saved)
        if isinstance(report, Stepped) and 0 < stop_at_step <= report.progress.step:
            stop.set()
    return reports


async def test_a_job_begins_rises_and_ends_with_its_last_checkpoint(ground: Any, tmp_path: Path) -> None:
    preflight = await ground.executor.check(ground.spec)
    assert (preflight.conversations, preflight.steps, preflight.steps_per_epoch) == (32, 12, 4)
    job = Job(id="a", spec=ground.spec, preflight=preflight)
    reports = await run(ground, job, tmp_path)
    assert isinstance(next(report for report in reports if not isinstance(report, Noted | Waiting)), Started)
    assert reports[-1] == Done()
    steps = [report.progress.step for report in reports if isinstance(report, Stepped)]
    assert steps == sorted(steps)
    assert steps[-1] == 12
    assert [(saved.epoch, saved.step) for saved in job.checkpoints] == [(1, 4), (2, 8), (3, 12)]
    assert all(bool(saved.path) != bool(saved.model) for saved in job.checkpoints)


async def test_a_stopped_job_is_not_done_and_goes_on_when_it_runs_again(ground: Any, tmp_path: Path) -> None:
    job = Job(id="a", spec=ground.spec, preflight=await ground.executor.check(ground.spec))
    stopped = await run(ground, job, tmp_path, stop_at_step=4)
    assert Done() not in stopped
    resumed = await run(ground, job, tmp_path)
    assert resumed[-1] == Done()
    assert [saved.step for saved in job.checkpoints] == [4, 8, 12]
    again = await run(ground, job, tmp_path)  # a server that died before it noted the end
    assert again[-1] == Done()


async def test_data_that_cannot_be_read_is_refused(ground: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(CandorError) as caught:
        await ground.executor.check(replace(ground.spec, dataset=str(broken)))
    assert caught.value.reason is Reason.BAD_TRAINING_DATA
