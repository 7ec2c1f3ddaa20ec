"""One run of a training job: its Job is made or found, and followed to its end.

The Pod writes its reports into the job's folder, on a volume that it shares with the trainer. So it trains on while the
trainer is away, and a trainer that comes back reads what it missed. The Job is looked at every few seconds, level by level:
nothing hangs on an event that somebody did not see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from http import HTTPStatus
from pathlib import Path

from chassis.errors import CandorError, Reason
from chassis.logs import get_logger
from services.trainer.backends.kubernetes.cluster import Cluster, Object, RefusedError, persist
from services.trainer.backends.kubernetes.options import Options
from services.trainer.backends.kubernetes.standing import Kind, Standing, failure, look, terminated
from services.trainer.backends.kubernetes.tail import Tail
from services.trainer.backends.process.channel import TOLD
from services.trainer.backends.process.child import ending
from services.trainer.backends.process.reports import reports_of
from services.trainer.backends.store_files import disk_errors
from services.trainer.ports import Done, Report, Started, Waiting

_AGAIN = "create the job again: it goes on from its last state"
_LOG = "log.txt"
_LOG_LINES = 1000
# A report is on the shared volume before its Pod ends; other machines see it there at the latest after this.
_LAG_SECONDS = 60.0


class Following:
    """One run.

    Args:
        cluster: Where.
        options: How.
        name: Of the Job.
        folder: The training job's.
        stop: Set to let go; the Job goes on.
    """

    def __init__(self, cluster: Cluster, options: Options, name: str, folder: Path, stop: asyncio.Event) -> None:
        self._cluster = cluster
        self._options = options
        self._name = name
        self._folder = folder
        self._stop = stop
        self._tail = Tail(folder)
        self._seen = self._told = ""
        self._past = True
        self._trained_at = self._queued_at = 0.0
        self._over_since = self._unread_since = 0.0
        self._failure: CandorError | None = None
        self._log = get_logger("trainer")

    async def reports(self, manifest: Callable[[], Awaitable[Object]]) -> AsyncGenerator[Report]:
        """What an executor's `run` gives.

        The Job goes on without us only when we were told to let go, or are torn down: whatever else ends the run, here or
        where the reports go, deletes the Job, so that it does not train on behind our back.

        Args:
            manifest: Prepares the folder and gives the Job to be made.
        """
        left = False
        try:
            async with aclosing(self._followed(manifest)) as reports:
                async for report in reports:
                    left = isinstance(report, Done)
                    yield report
            left = True
        except asyncio.CancelledError:
            left = True
            raise
        finally:
            if not left:
                await self._remove()

    async def _followed(self, manifest: Callable[[], Awaitable[Object]]) -> AsyncGenerator[Report]:
        async for waiting in self._made(manifest):
            yield waiting
        if self._stop.is_set():
            return
        looked = 0.0
        while True:
            for report in self._read():
                yield report
                if isinstance(report, Done):
                    return
            await self._raise_failure()
            if time.monotonic() - looked >= self._options.poll_seconds:
                looked = time.monotonic()
                for waiting in await self._look():
                    yield waiting
            if await self._stopped(self._options.tail_seconds):
                return

    async def _made(self, manifest: Callable[[], Awaitable[Object]]) -> AsyncIterator[Waiting]:
        """Wait until there is the Job of this run, or it is known to have come to its end."""
        began = time.time()
        while not self._stop.is_set():
            try:
                if self._tail.finished:
                    return
                known = await self._cluster.job(self._name)
                if known is None:
                    made = await manifest()
                    with disk_errors(self._folder):
                        self._tail.begin()
                    await self._cluster.create_job(made)
                    return
                if "deletionTimestamp" in known["metadata"]:
                    standing = Standing(Kind.NO_PLACE, "waits until the earlier Pod has ended", "", began)
                elif not self._tail.begun:  # of a run whose results were removed
                    await self._cluster.delete_job(self._name)
                    continue
                else:
                    return
            except RefusedError as refused:
                standing = self._excused(refused, began)
            except OSError as error:
                standing = Standing(Kind.FAULT, "the shared volume cannot be used", str(error), began)
            for waiting in await self._waiting(standing):
                yield waiting
            await self._stopped(self._options.poll_seconds)

    def _excused(self, refused: RefusedError, began: float) -> Standing:
        """A refusal that may pass, as a standing. Raises CandorError for others."""
        if refused.quota:
            return Standing(Kind.NO_PLACE, "the namespace's quota has no room for the Job", refused.message, began)
        if refused.passes:
            return Standing(Kind.NO_PLACE, "the API server cannot be asked", refused.message, began)
        mend = "give its account the Role of deploy/k8s/base/trainer" if refused.code == HTTPStatus.FORBIDDEN else ""
        message = f"the cluster does not take the trainer's Job {self._name}: {refused.message}"
        raise CandorError(Reason.TRAINING_NOT_STARTED, f"{message}; {mend}" if mend else message)

    async def _look(self) -> list[Waiting]:
        """See how the Job stands; what it waits for, where that is news. Raises CandorError when it came to nothing."""
        try:
            job = await self._cluster.job(self._name)
            if job is None:
                raise CandorError(Reason.TRAINING_FAILED, f"somebody deleted the Job {self._name}; {_AGAIN}")
            pods = await self._cluster.pods(self._name)
            standing = look(job, pods, [], time.time())
            if standing.kind in (Kind.QUEUED, Kind.NO_PLACE):
                standing = look(job, pods, await self._cluster.warnings(), time.time())
        except RefusedError as refused:
            self._log.warning("job not looked at", job=self._name, code=refused.code, message=refused.message)
            return []  # it trains all the same
        if standing.kind in (Kind.COMPLETE, Kind.FAILED):
            if not self._unread_since:  # else the reports may say more than the cluster does
                await self._over(standing, pods)
        elif standing.kind is not Kind.RUNNING:
            return await self._waiting(standing)
        else:
            self._trained_at = time.time()
        return []

    async def _over(self, standing: Standing, pods: list[Object]) -> None:
        """The Job has ended: give the last report time to be seen, then say why the training has not. Raises CandorError."""
        self._over_since = self._over_since or time.monotonic()
        reported = standing.kind is Kind.COMPLETE or any(terminated(pod).get("exitCode") == TOLD for pod in pods)
        if time.monotonic() - self._over_since < (_LAG_SECONDS if reported else self._options.poll_seconds):
            return
        if standing.kind is Kind.COMPLETE:
            message = (
                f"the Job {self._name} is complete, but its reports did not come to {self._folder}; trainer and Pod "
                "must have the same volume there"
            )
            raise CandorError(Reason.TRAINING_FAILED, message)
        said = await self._keep_log(pods[-1]) if pods else ""
        reason, why = failure(standing, pods)
        raise CandorError(reason, f"{why}; {_AGAIN}" + (f". The log ends with: {said}" if said else ""))

    async def _waiting(self, standing: Standing) -> list[Waiting]:
        """Tell what it waits for, once, if it is seen twice: what passes is no news.

        A Job may be days old when it loses its Pod, and then the cluster does not say since when: what was trained or queued
        before is no part of the wait.

        Raises:
            CandorError: It waited too long.
        """
        patience, setting = self._options.patience(standing.kind)
        since = max(standing.since, self._trained_at)
        if standing.kind is Kind.QUEUED:
            self._queued_at = time.time()
        else:
            since = max(since, self._queued_at)
        if time.time() - since > patience:
            verb = "go on" if self._trained_at else "start"
            message = (
                f"the training did not {verb} within {patience:g} s ({setting}): {standing.sentence()}; then {_AGAIN}"
            )
            raise CandorError(Reason.TRAINING_NOT_STARTED, message)
        passing, self._seen = standing.told != self._seen, standing.told
        if passing or standing.told == self._told:
            return []
        self._told = standing.told
        return [Waiting(standing.sentence())]

    def _read(self) -> list[Report]:
        """What the workers have reported since the last time, up to a failure.

        Raises:
            CandorError: The volume has failed for too long. For a while every network file system may.
        """
        found: list[Report] = []
        try:
            for line in self._tail.read():
                found += reports_of(line, past=self._past)
            self._past, self._unread_since = False, 0.0
        except CandorError as failure:
            self._failure = failure
        except OSError as error:
            self._unread(error)
        if found:
            self._trained_at = time.time()
        if any(isinstance(report, Started) for report in found):
            self._seen = self._told = ""
        return found

    def _unread(self, error: OSError) -> None:
        """The reports cannot be read now. Raises CandorError when that has lasted too long."""
        if not self._unread_since:
            self._unread_since = time.monotonic()
            self._log.warning("reports not read", job=self._name, error=str(error))
        patience, setting = self._options.patience(Kind.FAULT)
        if time.monotonic() - self._unread_since > patience:
            message = (
                f"the reports in {self._folder} cannot be read for {patience:g} s ({setting}): {error}; mend the volume, "
                f"then {_AGAIN}"
            )
            raise CandorError(Reason.TRAINING_FAILED, message) from error

    async def _raise_failure(self) -> None:
        """End with what a worker reported. Raises CandorError."""
        if self._failure is None:
            return
        with suppress(RefusedError):
            if pods := await self._cluster.pods(self._name):
                await self._keep_log(pods[-1])
        raise self._failure

    async def _keep_log(self, pod: Object) -> str:
        """Put the end of a Pod's log beside the job, where there is room; its last words."""
        text = await self._cluster.log(pod["metadata"]["name"], _LOG_LINES) or str(terminated(pod).get("message") or "")
        with suppress(OSError):
            (self._folder / _LOG).write_text(text, "utf-8")
        return ending(text.splitlines()) if text else ""

    async def _remove(self) -> None:
        """Have the Job deleted."""
        try:
            await persist(
                lambda: self._cluster.delete_job(self._name), lambda: self._stopped(self._options.poll_seconds)
            )
        except RefusedError as refused:
            self._log.warning("job not deleted", job=self._name, code=refused.code, message=refused.message)

    async def _stopped(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()
