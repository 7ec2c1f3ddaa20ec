"""Asks the subjects: a window of calls per arm that is kept full, each outcome stored and graded as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import islice
from typing import Any

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.ports import Prompt, Reply, ResponseRow
from services.orchestrator.service.rows import outcome_row
from services.orchestrator.service.run.batcher import Batcher, Signal
from services.orchestrator.service.run.grading import Grading
from services.orchestrator.service.run.patience import Patience
from services.orchestrator.service.run.state import Run
from services.orchestrator.service.run.window import Window
from services.orchestrator.service.world import blocking

Outcome = Reply | CandorError


class Asker:
    """Calls to all arms. `close` it in any case: what has arrived is stored first."""

    def __init__(self, run: Run, grading: Grading) -> None:
        self._run = run
        self._grading = grading
        self._limits = run.world.limits
        self._patience = Patience(run, self._end)
        self._stopped = asyncio.Event()
        self._ends_with: CandorError | None = None
        self.arrived = Signal()
        self._writer: Batcher[ResponseRow] = Batcher(
            self._store, size=self._limits.commit_items, seconds=self._limits.commit_seconds
        )

    async def ask(self, wanted: Callable[[str, int], bool], start: int, stop: int) -> None:
        """Ask every arm's missing slots from `start` to before `stop`, as far as `wanted(arm, slot)` says so at the time.

        Raises:
            CandorError: The run cannot go on: an arm answers nothing any more, or became another model.
        """
        arms = [
            asyncio.create_task(self._ask_arm(subject, self._run.board.arms[subject.name].missing(start, stop), wanted))
            for subject in self._run.subjects
        ]
        await self._together(arms)
        if self._ends_with is None:
            await self._patience.check()
        if self._ends_with is not None:
            raise self._ends_with

    async def _together(self, arms: list[asyncio.Task[None]]) -> None:
        """Wait for all arms. However the run ends early, what was asked already is taken in: it is paid for."""
        stopped = asyncio.create_task(self._stopped.wait())
        asking: set[asyncio.Task[Any]] = set(arms)
        try:
            while asking and not self._stopped.is_set():
                done, _ = await asyncio.wait({*asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
                asking -= done
                for task in done:
                    task.result()  # a defect
        finally:
            try:
                if asking:
                    self._stopped.set()
                    await asyncio.wait(asking, timeout=self._limits.settle_seconds)
            finally:
                for task in (*arms, stopped):
                    task.cancel()
                await asyncio.gather(*arms, stopped, return_exceptions=True)

    def _end(self, error: CandorError) -> None:
        """Ask nothing more of any arm."""
        self._ends_with = self._ends_with or error
        self._stopped.set()

    async def settled(self) -> None:
        """Return once everything that arrived is stored and graded."""
        await self._writer.drained()
        await self._grading.drained()

    async def close(self, *, finished: bool) -> None:
        """Store what has arrived; grade it too if the run is not being given up."""
        await self._patience.close()
        try:
            await self._writer.close(flush=True)
        finally:
            await self._grading.close(flush=finished)

    async def _ask_arm(self, subject: Subject, slots: Iterable[int], wanted: Callable[[str, int], bool]) -> None:
        window = Window(self._limits.window)
        remaining = (slot for slot in slots if wanted(subject.name, slot))
        try:
            async with asyncio.TaskGroup() as group:
                while batch := await self._batch(subject.name, remaining, window):
                    group.create_task(self._stream(subject, batch, window))
        finally:
            window.close()

    async def _batch(self, arm: str, remaining: Iterator[int], window: Window) -> list[int]:
        """The next slots to ask, once there is room for them; none when nothing is left or the run ends."""
        try:
            await self._patience.settled(arm)
            await self._writer.room()
            await self._grading.room()
        except CandorError as error:
            self._end(error)
        if self._stopped.is_set():
            return []
        # Room comes first, the choice after it: which cells are still wanted may change meanwhile.
        room = await window.take(self._limits.batch)
        batch = [] if self._stopped.is_set() else list(islice(remaining, room))
        window.give(room - len(batch))
        return batch

    async def _stream(self, subject: Subject, slots: list[int], window: Window) -> None:
        run = self._run
        workload = run.prepared.workload
        prompts = [Prompt(messages=workload.messages(slot), seed=subject.seed(workload.slots[slot])) for slot in slots]
        replies = run.world.inference.generate(subject.arm, subject.found.sampling, subject.found.digest, prompts)
        try:
            async with aclosing(_of_arm(subject.name, replies)) as named:
                async for index, outcome in named:
                    window.give(1)
                    self._take(subject, slots[index], outcome)
        except CandorError as error:
            self._end(error)

    def _take(self, subject: Subject, slot: int, outcome: Outcome) -> None:
        """Keep an outcome. What stands in the way ends the run, and never the calls that are under way."""
        try:
            if isinstance(outcome, CandorError):
                self._failed(subject, slot, outcome)
            else:
                self._answered(subject, slot, outcome)
            self._run.teller.nudge()
        except CandorError as error:
            self._end(error)
        self.arrived.fire()

    def _failed(self, subject: Subject, slot: int, error: CandorError) -> None:
        if error.reason is Reason.IDENTITY_CHANGED:
            raise error
        run = self._run
        counts = run.teller.counts.arms[subject.name]
        run.board.arms[subject.name].failed(slot)
        counts.failed[error.reason.name] += 1
        counts.said.setdefault(error.reason.name, error.message)
        self._keep(subject, slot, error)
        self._patience.failed(subject.name, error)

    def _answered(self, subject: Subject, slot: int, reply: Reply) -> None:
        run = self._run
        run.board.arms[subject.name].answered(slot, len(reply.text))
        self._patience.replied(subject.name)
        counts = run.teller.counts.arms[subject.name]
        counts.done += 1
        counts.names.add(reply.reported_model)
        counts.cut += reply.finish_reason == "length"
        counts.prompt_tokens += reply.usage.prompt_tokens
        counts.completion_tokens += reply.usage.completion_tokens
        key = self._keep(subject, slot, reply)
        self._grading.put(subject.name, slot, key, reply.text)

    def _keep(self, subject: Subject, slot: int, outcome: Outcome) -> bytes:
        """Have an outcome stored; its key."""
        run = self._run
        key = subject.key(run.prepared.workload.slots[slot])
        self._writer.put(outcome_row(subject.scope, key, run.row.id, outcome, run.world.clock()))
        return key

    async def _store(self, rows: list[ResponseRow]) -> None:
        await blocking(self._run.world.ledger.put_responses, rows)


async def _of_arm(arm: str, replies: AsyncIterator[tuple[int, Outcome]]) -> AsyncGenerator[tuple[int, Outcome]]:
    """The replies; an error that ends them all names the arm."""
    try:
        async for reply in replies:
            yield reply
    except CandorError as error:
        message = f"arm {arm}: {error.message}"
        raise CandorError(error.reason, message, violations=error.violations, metadata=error.metadata) from error
