"""The trainer's use cases: check, create, watch, cancel, delete; a restarted server takes up what is unfinished."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from chassis.errors import CandorError, Reason
from chassis.metrics import Metrics
from services.trainer.domain.job import Event, Job, State
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.spec import TrainingSpec, job_id
from services.trainer.domain.validate import check
from services.trainer.ports import Executor, JobStore, Sources
from services.trainer.service.running import Runner

_PREFIX = "trainingJobs/"
_PAGE, _MOST = 50, 1000


class TrainerService:
    """Everything that the servicer offers.

    Args:
        store: Where jobs are kept.
        sources: Base models and data sets.
        executors: Ways of training, by name.
        metrics: Jobs and tokens are counted here.
        max_running: Jobs that train at once, by executor.
        default: The executor of specs that name none.
    """

    def __init__(
        self,
        store: JobStore,
        sources: Sources,
        executors: Mapping[str, Executor],
        metrics: Metrics,
        max_running: Mapping[str, int],
        default: str = "process",
    ) -> None:
        self._store = store
        self._sources = sources
        self._executors = executors
        self._default = default
        self._runner = Runner(store, executors, metrics, max_running)
        self._jobs: dict[str, Job] | None = None

    async def ready(self) -> bool:
        """Whether jobs can be kept; the first time, what an earlier server left unfinished is taken up."""
        return self._store.ready() and self._known() is not None

    async def close(self) -> None:
        """Stop what trains, its state saved; the next server goes on."""
        await self._runner.close()

    async def check(self, spec: TrainingSpec) -> Preflight:
        """See the proto."""
        resolved, _ = await self._resolved(spec)
        return await self._executors[resolved.executor].check(resolved)

    async def create(self, spec: TrainingSpec) -> Job:
        """See the proto."""
        resolved, base_digest = await self._resolved(spec)
        name = job_id(resolved, base_digest)
        if name not in self._known():
            preflight = await self._executors[resolved.executor].check(resolved)
            if name not in self._known():  # a twin may have come meanwhile
                job = Job(id=name, spec=resolved, base_digest=base_digest, preflight=preflight, created=time.time())
                self._begin(job)
                return job
        job = self._known()[name]
        if job.state is State.SUCCEEDED and self._executors[job.spec.executor].reopen(job, self._store.folder(name)):
            job = replace(job, state=State.CANCELLED, checkpoints=())  # they are told again
        if job.state in (State.FAILED, State.CANCELLED):
            job = replace(job, spec=resolved)  # the same content may lie elsewhere now
            self._begin(job)
        return job

    def get(self, name: str) -> Job:
        """One job. Raises CandorError TRAINING_JOB_NOT_FOUND."""
        job = self._known().get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
        if job is None:
            raise CandorError(
                Reason.TRAINING_JOB_NOT_FOUND, f"there is no job {name!r} here; list the jobs to see their names"
            )
        return job

    def jobs(self) -> Sequence[Job]:
        """Every job that is known; none before the server is ready. From any thread."""
        return tuple((self._jobs or {}).values())

    def list(self, size: int, token: str) -> tuple[Sequence[Job], str]:
        """A page, newest first, and the token of the next. Raises CandorError INVALID_REQUEST."""
        newest = sorted(self._known().values(), key=lambda job: (-job.created, job.id))
        if not 0 <= size <= _MOST:
            raise CandorError(Reason.INVALID_REQUEST, f"page_size: is not from 0 to {_MOST}")
        names = [job.id for job in newest]
        if token and token not in names:
            raise CandorError(
                Reason.INVALID_REQUEST, "page_token: is not one that this list gave; start again without it"
            )
        start = names.index(token) + 1 if token else 0
        page = newest[start : start + (size or _PAGE)]
        more = start + len(page) < len(newest)
        return page, page[-1].id if more and page else ""

    async def cancel(self, name: str) -> Job:
        """Stop a job; returns when it has stopped. Raises CandorError TRAINING_JOB_NOT_FOUND."""
        job = self.get(name)
        await self._runner.cancel(job)
        return job

    async def delete(self, name: str) -> None:
        """Remove a job. Raises CandorError TRAINING_JOB_RUNNING, TRAINING_JOB_NOT_FOUND."""
        job = self.get(name)
        if not job.state.closed:
            raise CandorError(Reason.TRAINING_JOB_RUNNING, f"{name} is {job.state}; cancel it first")
        del self._known()[job.id]
        await asyncio.to_thread(self._store.delete, job.id)

    async def watch(self, name: str, after: int) -> AsyncGenerator[Event]:
        """Events, the past ones first, to the one that closes the job. Raises CandorError TRAINING_JOB_NOT_FOUND."""
        job = self.get(name)
        offset = 0
        while True:
            changed = self._runner.changed(job.id)
            closed = job.state.closed
            events, offset = self._store.events(job.id, offset)
            for event in events:
                if event.sequence > after:
                    yield event
            if closed:
                return
            await changed.wait()

    def _begin(self, job: Job) -> None:
        """Queue a job. Raises CandorError DISK_FULL; then nothing has changed."""
        self._runner.begin(job)
        self._known()[job.id] = job

    async def _resolved(self, spec: TrainingSpec) -> tuple[TrainingSpec, str]:
        """The spec with its executor and real paths, and the digest of its base. Raises CandorError."""
        spec = replace(spec, executor=spec.executor or self._default)
        check(spec)
        dataset = await self._sources.dataset(spec.dataset, spec.dataset_digest)
        if spec.executor == "openai":
            return replace(spec, dataset=dataset), ""
        base, digest = await self._sources.base(spec.base)
        return replace(spec, base=base, dataset=dataset), digest

    def _known(self) -> dict[str, Job]:
        if self._jobs is None:
            self._jobs = {job.id: job for job in self._store.load()}
            for job in sorted(self._jobs.values(), key=lambda job: job.created):
                if not job.state.closed:
                    self._take_up(job)
        return self._jobs

    def _take_up(self, job: Job) -> None:
        """Queue what an earlier server left; where that cannot be kept, the job fails here and may be created again."""
        try:
            self._runner.begin(job, resumed=True)
        except CandorError as error:
            job.state, job.reason, job.failure_reason = State.FAILED, error.message, error.reason.value
