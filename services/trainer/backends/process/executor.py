"""The `process` executor: each job trains in a child process of its own, which can be stopped, may die, and is taken up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from chassis.errors import CandorError, Reason
from services.trainer.backends.process.checking import look, need
from services.trainer.backends.process.child import kill, last_words, reap, start
from services.trainer.backends.process.keeping import reopen
from services.trainer.backends.process.order import Order
from services.trainer.backends.process.reports import reports_of
from services.trainer.backends.process.room import device_here
from services.trainer.backends.process.stopwatch import Stopwatch
from services.trainer.backends.store_files import disk_errors
from services.trainer.domain.job import Job
from services.trainer.domain.memory import ADVICE
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.spec import TrainingSpec
from services.trainer.ports import Done, Report

_NEEDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
_LOG = "log.txt"


class ProcessExecutor:
    """Trains in child processes.

    Args:
        device: `auto`, `cpu`, `cuda`.
        threads: Of torch; 0 leaves its own choice.
        state_seconds: Longest work that a crash may cost.
        stop_seconds: Patience with a worker that was told to stop.
        launch_arguments: Further arguments of accelerate launch, for jobs of several processes.
        estimates_time: Whether a few steps are timed before a job.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        threads: int = 0,
        state_seconds: float = 60.0,
        stop_seconds: float = 60.0,
        launch_arguments: Sequence[str] = (),
        estimates_time: bool = True,
    ) -> None:
        self._device = device
        self._threads = threads
        self._state_seconds = state_seconds
        self._stop_seconds = stop_seconds
        self._launch_arguments = tuple(launch_arguments)
        self._stopwatch = Stopwatch(device, threads) if estimates_time else None
        self._training = 0

    async def check(self, spec: TrainingSpec) -> Preflight:
        """See the port."""
        need(_NEEDED)
        preflight, found, work = await asyncio.to_thread(lambda: look(spec, device_here(self._device)))
        if self._stopwatch is None:
            return preflight
        time = await self._stopwatch.estimate(spec, found, work, preflight.device, busy=self._training > 0)
        return replace(preflight, estimated_seconds=time.seconds, time_basis=time.basis)

    async def run(self, job: Job, folder: Path, stop: asyncio.Event) -> AsyncGenerator[Report]:
        """See the port."""
        with disk_errors(folder):
            Order(spec=job.spec, device=self._device, threads=self._threads, state_seconds=self._state_seconds).write(
                folder
            )
        if self._stopwatch is not None:
            await self._stopwatch.idle()
        self._training += 1
        try:
            async with aclosing(self._reports(job, folder, stop)) as reports:
                async for report in reports:
                    yield report
        finally:
            self._training -= 1

    async def _reports(self, job: Job, folder: Path, stop: asyncio.Event) -> AsyncGenerator[Report]:
        with (folder / _LOG).open("ab") as log:
            process = await start(self._command(job.spec, folder), log)
        stopper = asyncio.create_task(self._stop(process, stop))
        ended = False
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                reports = reports_of(line)
                ended = not reports or reports == [Done()]
                for report in reports:
                    yield report
            code = await process.wait()
            if not ended and not stop.is_set():
                raise _died(code, folder / _LOG)
        finally:
            stopper.cancel()
            await reap(process)

    def reopen(self, job: Job, folder: Path) -> bool:
        """See the port."""
        return reopen(job, folder)

    async def abandon(self, job: Job) -> None:
        """See the port: nothing goes on elsewhere."""

    def _command(self, spec: TrainingSpec, folder: Path) -> list[str]:
        return command(spec, [str(folder)], self._launch_arguments)

    async def _stop(self, process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
        await stop.wait()
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(self._stop_seconds):
                await process.wait()
        except TimeoutError:
            kill(process)


def command(spec: TrainingSpec, worker: Sequence[str], launch_arguments: Sequence[str]) -> list[str]:
    """Arguments of Python for a worker with these arguments, or several of them."""
    alone = ["-m", "services.trainer.worker", *worker]
    processes = spec.training.processes
    if processes == 1:
        return alone
    # Its word for several processes on one machine, with or without GPUs.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    return [
        *launch,
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        *launch_arguments,
        *alone,
    ]


def _died(code: int, log: Path) -> CandorError:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    if code == -signal.SIGKILL:
        how += f" (the system does that when memory runs out: then {ADVICE})"
    message = (
        f"the training process {how}; create the job again to go on from its last state. Its log, {log}, ends with: "
    )
    return CandorError(Reason.TRAINING_FAILED, message + last_words(log))
