"""Fakes of the trainer's ports."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from chassis.errors import CandorError
from chassis.metrics import Metrics
from services.trainer.backends.store_files import FileJobs
from services.trainer.domain.job import Job, Progress, Saved
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.spec import TrainingSpec
from services.trainer.ports import Done, Kept, Noted, Report, Started, Stepped
from services.trainer.service.trainer import TrainerService


class FakeExecutor:
    """Makes a step whenever it is allowed one."""

    def __init__(self, steps: int = 3) -> None:
        self.steps = steps
        self.allowed = asyncio.Semaphore(0)
        self.checks = 0
        self.running = self.most = 0
        self.abandoned: list[str] = []
        self.fails: CandorError | None = None
        self.again = False
        self.recalls = 0
        self.lost = False

    def allow(self, steps: int = 100) -> None:
        for _ in range(steps):
            self.allowed.release()

    async def check(self, spec: TrainingSpec) -> Preflight:
        self.checks += 1
        await asyncio.sleep(0)
        return Preflight(conversations=1, steps=self.steps)

    async def run(self, job: Job, folder: Path, stop: asyncio.Event) -> AsyncGenerator[Report]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            first = max(self.recalls, int(job.resume.get("step", 0)))
            yield Started(first, {"fake": "1"})
            for saved in job.checkpoints if self.again else ():
                yield Kept(saved)
            for step in range(1, self.recalls + 1):
                yield Stepped(Progress(step=step, steps=self.steps, epoch=float(step), loss=1 / step), past=True)
            for step in range(first + 1, self.steps + 1):
                waits = [asyncio.create_task(self.allowed.acquire()), asyncio.create_task(stop.wait())]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
                if stop.is_set():
                    return
                if self.fails is not None:
                    error, self.fails = self.fails, None
                    raise error
                yield Noted({"step": str(step)})
                yield Stepped(Progress(step=step, steps=self.steps, epoch=float(step), loss=1 / step))
                yield Kept(Saved(epoch=float(step), step=step, path=str(folder / f"checkpoint-{step}")))
            yield Done()
        finally:
            self.running -= 1

    def reopen(self, job: Job, folder: Path) -> bool:
        lost, self.lost = self.lost, False
        return lost

    async def abandon(self, job: Job) -> None:
        self.abandoned.append(job.id)


class FakeSources:
    async def base(self, path: str) -> tuple[str, str]:
        return path, "sha256:" + hashlib.sha256(path.encode()).hexdigest()

    async def dataset(self, path: str, digest: str) -> str:
        return path


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
def store(tmp_path: Path) -> FileJobs:
    return FileJobs(tmp_path)


@pytest.fixture
def make_service(tmp_path: Path) -> Callable[..., TrainerService]:
    """A service on the test's folder; another one on the same folder is a restarted server."""

    def make(
        executor: FakeExecutor, max_running: int = 1, store: FileJobs | None = None, default: str = "process"
    ) -> TrainerService:
        kept = store or FileJobs(tmp_path)
        executors = {"process": executor, default: executor}
        places = {"process": max_running, default: max_running}
        return TrainerService(kept, FakeSources(), executors, Metrics("trainer"), places, default)

    return make


@pytest.fixture
def spec_of() -> Callable[[int], TrainingSpec]:
    def make(number: int = 0) -> TrainingSpec:
        return TrainingSpec(base="/b", dataset="/d", dataset_digest=f"sha256:{number:064d}")

    return make
