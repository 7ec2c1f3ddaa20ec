"""Durable runs on DBOS: a workflow per attempt at an evaluation.

The workflow is one coarse unit, idempotent over the ledger: whatever was answered is there, so running it again asks only
for what is missing. DBOS remembers that it has to be run, and by whom.

Embedded, DBOS is launched when the first evaluation is started, under that evaluation's id as executor: recovery then
finds this evaluation's runs and no other's. Where several commands share a ledger (Postgres), each claims what it runs. On a server each replica has a stable executor id and takes runs from a queue;
the runs of a replica that fell silent are put back into the queue by another.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.logs import get_logger
from services.orchestrator.backends import dbos_calls
from services.orchestrator.backends.claims import Claims
from services.orchestrator.backends.dbos_calls import RunsConfig, Workflow
from services.orchestrator.backends.replicas import Replicas

Duty = Callable[[], Awaitable[None]]
_LIVING = ("PENDING", "ENQUEUED", "DELAYED")
_log = get_logger("runs")


class _ReleasedError(BaseException):
    """Ends a workflow function without an outcome: DBOS records none, and the run stays to be recovered."""


@dataclass(slots=True, eq=False)
class _Run:
    """A run of this process. `taken`: another replica has it now."""

    attempt: int
    task: asyncio.Task[Any]
    taken: bool = False


class DbosRuns:
    """Implements `ports.Runs`. DBOS is one per process, so this is too.

    Args:
        config: See there.
        execute: Runs an attempt at an evaluation.
        cancelled: Which of these evaluations somebody asked to stop, whichever replica heard it.
        close_cancelled: Closes an evaluation whose run was stopped.
        replicas: Heartbeats; None: embedded.
        claims: What commands on this ledger run by themselves; None: the ledger is one process's.
    """

    def __init__(
        self,
        config: RunsConfig,
        execute: Callable[[str, int], Awaitable[None]],
        *,
        cancelled: Callable[[list[str]], Awaitable[list[str]]],
        close_cancelled: Callable[[str], Awaitable[None]],
        replicas: Replicas | None = None,
        claims: Claims | None = None,
    ) -> None:
        self._config = config
        self._execute = execute
        self._cancelled = cancelled
        self._close_cancelled = close_cancelled
        self._replicas = replicas
        self._claims = claims
        self._running: dict[str, _Run] = {}
        self._wanted: set[str] = set()
        self._coming: set[tuple[str, int]] = set()  # started and not begun yet
        self._begun: set[tuple[str, int]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workflow: Workflow | None = None
        self._launching: asyncio.Task[Workflow] | None = None
        self._tending: asyncio.Task[None] | None = None
        self._in_doubt = False  # others may have taken runs of ours
        self._closing = threading.Event()

    async def open(self) -> None:
        """Begin to take runs from the queue; does nothing embedded.

        Raises:
            CandorError: The database cannot be used; call it again later.
            ExceptionGroup: The heartbeat ended by a defect: the replica must end too, before others take its runs.
        """
        if self._replicas is not None:
            await self._launch(self._config.executor_id)
        if self._tending is not None and self._tending.done():
            self._tending.result()

    async def claim(self, evaluation_id: str) -> None:
        """See ports. Embedded, waits a moment: whoever had it may just have died."""
        if self._claims is None:
            return
        message = f"evaluation {evaluation_id} is being run by another command on this ledger; wait for it"
        if self._replicas is not None:
            if await asyncio.to_thread(self._claims.elsewhere, evaluation_id):
                raise CandorError(Reason.LEDGER_LOCKED, message)
            return
        if living := await asyncio.to_thread(self._claims.replicas):
            owner = f"this ledger belongs to a running orchestrator ({', '.join(living)})"
            raise CandorError(Reason.LEDGER_UNUSABLE, f"{owner}: give --orchestrator, or a database of its own")
        give_up = asyncio.get_running_loop().time() + self._config.claim_seconds
        while not await asyncio.to_thread(self._claims.take, evaluation_id):
            if asyncio.get_running_loop().time() >= give_up:
                raise CandorError(Reason.LEDGER_LOCKED, message)
            await asyncio.sleep(self._config.beat_seconds)

    async def start(self, evaluation_id: str, attempt: int) -> None:
        """See ports."""
        if (evaluation_id, attempt) in self._begun:
            return
        self._wanted.add(evaluation_id)
        self._coming.add((evaluation_id, attempt))
        here = False
        try:
            workflow = await self._launch(self._config.executor_id or evaluation_id)
            queued = self._replicas is not None
            await asyncio.to_thread(dbos_calls.submit, workflow, evaluation_id, attempt, queued=queued)
            here = not queued
        finally:
            if not here:
                # In the queue, where any replica may take it; or not at all.
                self._coming.discard((evaluation_id, attempt))

    async def cancel(self, evaluation_id: str) -> bool:
        """See ports."""
        run = self._running.get(evaluation_id)
        if run is None:
            return False
        run.task.cancel()
        await asyncio.wait({run.task})
        return True

    async def alive(self, evaluation_id: str, attempt: int) -> bool:
        """See ports."""
        if evaluation_id in self._running or (evaluation_id, attempt) in self._coming:
            return True
        if self._replicas is not None and await asyncio.to_thread(self._recorded, evaluation_id, attempt):
            return True
        return self._claims is not None and await asyncio.to_thread(self._claims.elsewhere, evaluation_id)

    async def close(self) -> None:
        """Stop this process's runs, storing what has arrived; they go on here or elsewhere when taken up again."""
        self._closing.set()
        if self._launching is not None:
            await asyncio.wait({self._launching})
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait({self._tending})
        tasks = {run.task for run in self._running.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._claims is not None:
            await asyncio.to_thread(self._claims.close)
        if self._workflow is None:
            return
        if self._replicas is not None:
            with contextlib.suppress(CandorError):
                await asyncio.to_thread(self._replicas.leave)
        await asyncio.to_thread(dbos_calls.destroy)
        self._workflow = None

    async def _launch(self, executor_id: str) -> Workflow:
        """Launch DBOS, once: who gives up waiting for it, as health does, finds it further on the next time."""
        if self._launching is None or (self._launching.done() and self._workflow is None):
            self._launching = asyncio.create_task(self._begin(executor_id))
            self._launching.add_done_callback(_tell_of_a_failed_launch)
        return await asyncio.shield(self._launching)

    async def _begin(self, executor_id: str) -> Workflow:
        self._loop = asyncio.get_running_loop()
        if self._replicas is not None:
            # Before DBOS takes up what this replica left: whoever has runs is on the list of the living.
            await asyncio.to_thread(self._replicas.beat)
        self._workflow = await asyncio.to_thread(dbos_calls.launch, self._config, executor_id, self._drive)
        if duties := self._duties():
            self._tending = asyncio.create_task(self._tend(duties))
            self._tending.add_done_callback(_tell_of_a_defect)
        return self._workflow

    def _recorded(self, evaluation_id: str, attempt: int) -> bool:
        status = dbos_calls.status(evaluation_id, attempt)
        return status is not None and status.status in _LIVING

    def _taken(self, evaluation_id: str, attempt: int) -> bool:
        """Whether a run of ours is in the queue again, or another replica's."""
        status = dbos_calls.status(evaluation_id, attempt)
        return status is not None and (status.status, status.executor_id) != ("PENDING", self._config.executor_id)

    def _drive(self, evaluation_id: str, attempt: int) -> None:
        """The workflow: runs in a thread of DBOS, its work on the loop of the server."""
        if self._closing.is_set() or self._loop is None:
            raise _ReleasedError
        done = asyncio.run_coroutine_threadsafe(self._run(evaluation_id, attempt), self._loop)
        with contextlib.suppress(concurrent.futures.CancelledError):  # somebody cancelled the evaluation
            done.result()

    async def _run(self, evaluation_id: str, attempt: int) -> None:
        # Embedded, a run that this process did not start is somebody else's money.
        mine = self._replicas is not None or evaluation_id in self._wanted
        task = asyncio.current_task()
        if not mine or task is None:
            return
        while (earlier := self._running.get(evaluation_id)) is not None:
            await asyncio.wait({earlier.task})
        if self._closing.is_set():
            raise _ReleasedError
        run = self._running[evaluation_id] = _Run(attempt, task)
        self._coming.discard((evaluation_id, attempt))
        self._begun.add((evaluation_id, attempt))
        try:
            while True:
                if await self._executed(evaluation_id, attempt):
                    return
                await asyncio.sleep(self._config.retry_seconds)
        except asyncio.CancelledError:
            if run.taken or self._closing.is_set():
                raise _ReleasedError from None
            raise
        finally:
            del self._running[evaluation_id]

    async def _executed(self, evaluation_id: str, attempt: int) -> bool:
        """Execute; False if the ledger was out of reach and a replica should try again later."""
        try:
            await self._execute(evaluation_id, attempt)
        except CandorError as error:
            _log.warning("the ledger cannot be told of a run", evaluation=evaluation_id, reason=error.reason.name)
            return self._replicas is None or not error.retryable
        return True

    def _duties(self) -> list[Duty]:
        """Say that this replica lives, adopt the runs of the dead, keep what is claimed, hear what is cancelled elsewhere."""
        if self._replicas is not None:
            return [partial(self._beat, self._replicas), partial(self._bury, self._replicas), self._hear]
        return [] if self._claims is None else [partial(self._hold, self._claims), self._hear]

    async def _tend(self, duties: list[Duty]) -> None:
        """Each at its own pace: whatever the others wait for, the heartbeat goes on."""
        async with asyncio.TaskGroup() as tasks:
            for duty in duties:
                tasks.create_task(self._again_and_again(duty))

    async def _again_and_again(self, duty: Duty) -> None:
        while True:
            await asyncio.sleep(self._config.beat_seconds)
            try:
                await duty()
            except CandorError as error:
                _log.warning("the ledger cannot be reached", reason=error.reason.name)

    async def _beat(self, replicas: Replicas) -> None:
        if not await asyncio.to_thread(replicas.beat):
            self._in_doubt = True
        if not self._in_doubt:
            return
        for evaluation_id, run in list(self._running.items()):
            if await asyncio.to_thread(self._taken, evaluation_id, run.attempt):
                _log.warning("taken for dead; another replica has the run", evaluation=evaluation_id)
                run.taken = True
                run.task.cancel()
        self._in_doubt = False

    async def _bury(self, replicas: Replicas) -> None:
        if dead := await asyncio.to_thread(replicas.bury, dbos_calls.adopt):
            _log.warning("adopted the runs of silent replicas", replicas=dead)

    async def _hold(self, claims: Claims) -> None:
        for evaluation_id in await asyncio.to_thread(claims.keep):
            if (run := self._running.get(evaluation_id)) is not None:
                _log.warning("the ledger was away; another command has the run", evaluation=evaluation_id)
                run.taken = True
                run.task.cancel()

    async def _hear(self) -> None:
        for evaluation_id in await self._cancelled(list(self._running)):
            if await self.cancel(evaluation_id):
                await self._close_cancelled(evaluation_id)


def _tell_of_a_failed_launch(launching: asyncio.Task[Workflow]) -> None:
    """Health, which asks for it, says no more than that we are not ready."""
    if not launching.cancelled() and (error := launching.exception()) is not None:
        _log.warning("runs cannot be taken yet", error=str(error))


def _tell_of_a_defect(tending: asyncio.Task[None]) -> None:
    if not tending.cancelled() and (error := tending.exception()) is not None:
        _log.error("the heartbeat ended by a defect", exc_info=error)
