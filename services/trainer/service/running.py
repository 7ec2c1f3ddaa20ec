"""Jobs under way: a queue, one task a job, every report kept before the next is taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing

from chassis.errors import CandorError, Reason
from chassis.logs import get_logger
from chassis.metrics import Metrics
from services.trainer.domain.job import Job, State
from services.trainer.ports import Done, Executor, JobStore, Kept, Merged, Noted, Report, Started, Stepped, Waiting

# Progress is in the events at once; job.json follows at this pace.
_SAVE_SECONDS = 1.0


class Runner:
    """Runs jobs.

    Args:
        store: Where jobs are kept.
        executors: Ways of training, by name.
        metrics: Jobs and tokens are counted here.
        max_running: Jobs that train at once, by executor; the others wait in order.
    """

    def __init__(
        self,
        store: JobStore,
        executors: Mapping[str, Executor],
        metrics: Metrics,
        max_running: Mapping[str, int],
    ) -> None:
        self._store = store
        self._executors = executors
        self._metrics = metrics
        self._places = {name: asyncio.Semaphore(max_running[name]) for name in executors}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Event] = {}
        self._changes: dict[str, asyncio.Event] = {}
        self._closing = False
        self._log = get_logger("trainer")

    def begin(self, job: Job, *, resumed: bool = False) -> None:
        """Queue a job. Raises CandorError DISK_FULL; then it is not queued."""
        job.state, job.reason, job.failure_reason = State.PENDING, "", ""
        self._store.save(job)
        self._tell(job, "taken up after a restart" if resumed else "waits for its turn")
        self._stops[job.id] = asyncio.Event()
        self._tasks[job.id] = asyncio.create_task(self._run(job, self._stops[job.id]))
        self._tasks[job.id].add_done_callback(self._ended)

    async def cancel(self, job: Job) -> None:
        """Stop a job and wait until it has stopped."""
        task = self._tasks.get(job.id)
        if task is not None and not task.done():
            self._stops[job.id].set()
            await asyncio.wait([task])

    async def close(self) -> None:
        """Stop all; they stay unfinished."""
        self._closing = True
        for stop in self._stops.values():
            stop.set()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def changed(self, job_id: str) -> asyncio.Event:
        """Set when the job has a new event."""
        return self._changes.setdefault(job_id, asyncio.Event())

    async def _run(self, job: Job, stop: asyncio.Event) -> None:
        try:
            done = False
            places = self._places[job.spec.executor]
            if await _place(places, stop):
                try:
                    done = await self._train(job, stop)
                finally:
                    places.release()
            if done:
                self._close(job, State.SUCCEEDED, "finished")
            elif self._closing:
                self._store.save(job)  # unfinished: the next server goes on
            else:
                await self._executors[job.spec.executor].abandon(job)
                self._close(job, State.CANCELLED, "cancelled")
        except CandorError as error:
            job.failure_reason = error.reason.value
            self._close(job, State.FAILED, error.message)
        finally:
            self._stops.pop(job.id, None)
            if not job.state.closed and not self._closing:  # a defect: nobody may wait for ever
                job.failure_reason = Reason.INTERNAL.value
                self._close(job, State.FAILED, "the trainer failed by a defect of its own; its log says more")
            self._wake(job)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("job failed by a defect", exc_info=error)

    async def _train(self, job: Job, stop: asyncio.Event) -> bool:
        """Whether it came to its end."""
        job.state = State.RUNNING
        self._store.save(job)
        self._tell(job, "the training starts")
        saved_at = time.monotonic()
        reports = self._executors[job.spec.executor].run(job, self._store.folder(job.id), stop)
        async with aclosing(reports) as stream:  # type: ignore[type-var]  # every executor's is a generator
            async for report in stream:
                if isinstance(report, Done):
                    return True
                if isinstance(report, Stepped) and report.past and report.progress.step <= job.progress.step:
                    continue  # known already
                before = job.progress
                message = _take(job, report)
                if isinstance(report, Stepped):
                    grown = job.progress.trained_tokens - before.trained_tokens
                    self._metrics.tokens.labels("trained").inc(max(0, grown))
                    if time.monotonic() - saved_at < _SAVE_SECONDS:
                        self._tell(job, message)
                        continue
                saved_at = time.monotonic()
                self._store.save(job)
                self._tell(job, message)
        return False

    def _close(self, job: Job, state: State, message: str) -> None:
        """Keep the end; on a full disk it is known here at least, and the next server takes the job up again."""
        job.state = state
        job.reason = message if state is State.FAILED else ""
        self._metrics.items.labels("training", job.failure_reason or state.value).inc()
        self._log.info("job closed", job=job.id, state=state.value, reason=job.failure_reason)
        try:
            self._store.save(job)
            self._tell(job, message)
        except CandorError as error:
            self._log.error("job not kept", job=job.id, reason=error.reason.value)

    def _tell(self, job: Job, message: str) -> None:
        self._store.append(job, message)
        self._wake(job)

    def _wake(self, job: Job) -> None:
        self._changes.pop(job.id, asyncio.Event()).set()


async def _place(places: asyncio.Semaphore, stop: asyncio.Event) -> bool:
    """Wait for a turn; false when stopped before it came."""
    turn = asyncio.create_task(places.acquire())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([turn, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if stop.is_set():
        if turn.done():
            places.release()
        turn.cancel()
        return False
    return True


def _take(job: Job, report: Report) -> str:
    """Put a report into the job; its line for a person."""
    match report:
        case Started(step, versions, message):
            job.state, job.reason, job.versions = State.RUNNING, "", versions
            return message or (f"goes on after step {step}" if step else "training")
        case Waiting(why):
            job.state, job.reason = State.PENDING, why
            return why
        case Noted(values):
            job.resume = {**job.resume, **values}
        case Stepped(progress):
            job.progress = progress
        case Kept(saved):
            known = saved in job.checkpoints  # a worker that goes on tells of all that there is
            job.add(saved)
            return "" if known else f"checkpoint at epoch {saved.epoch:g} (step {saved.step})"
        case Merged(path):
            job.merged = path
            return "merged into the base"
        case Done():
            pass
    return ""
