"""The course of a run: ask what the next look needs, look, and stop when the gate says so."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable

from services.orchestrator.domain.board import MISSING, UNGRADED
from services.orchestrator.domain.gate.result import Progress
from services.orchestrator.domain.gate.verdict import advance
from services.orchestrator.domain.gating import wanted
from services.orchestrator.service.run.ask import Asker
from services.orchestrator.service.run.hopeless import Failures
from services.orchestrator.service.run.state import Run
from services.orchestrator.service.world import blocking

# Under `anytime` the gate looks after about this share of the units.
_SHARDS = 50


async def pursue(run: Run, asker: Asker) -> Progress | None:
    """Ask until the gate is decided; None for a research document, which asks everything.

    Raises:
        CandorError: The run cannot go on.
    """
    design = run.prepared.gating.design
    workload = run.prepared.workload
    failures = Failures(run)
    if design is None:
        await asker.ask(_wanted(run, failures, None), 0, workload.upto(workload.units))
        await asker.settled()
        return None
    progress = await look(run, 0)
    if design.stopping == "anytime":
        return await _anytime(run, asker, failures, progress)
    complete = 0
    while not progress.stop and not run.invariants:
        await asker.ask(_wanted(run, failures, progress), workload.upto(complete), workload.upto(progress.ask_units))
        await run.teller.enter("grading")
        await asker.settled()
        complete = progress.ask_units
        progress = await look(run, complete)
        if not progress.stop:
            await run.teller.enter(
                "generating", f"look {progress.looks_done} of {progress.looks_total}: not decided yet"
            )
    return await look(run, complete) if run.invariants else progress


async def look(run: Run, complete: int) -> Progress:
    """Where the gate stands after the first `complete` units."""
    progress = await blocking(_advance, run, complete)
    run.teller.counts.looks_done = progress.looks_done
    run.teller.counts.looks_total = progress.looks_total
    return progress


def _advance(run: Run, complete: int) -> Progress:
    design = run.prepared.gating.design
    assert design is not None
    tables = {name: run.board.table(name, run.spec.baseline, complete) for name in design.candidates}
    return advance(design, run.prepared.workload.order, tables, complete, run.invariants)


def _wanted(run: Run, failures: Failures, progress: Progress | None) -> Callable[[str, int], bool]:
    slots = run.prepared.workload.slots

    def decide(arm: str, slot: int) -> bool:
        cell = slots[slot].cell
        return not failures.too_many() and wanted(progress, arm, cell.context, cell.belief)

    return decide


async def _anytime(run: Run, asker: Asker, failures: Failures, progress: Progress) -> Progress:
    """Everything is asked in the seeded order, and the gate looks whenever some more units at its head are done."""
    workload = run.prepared.workload
    slots = workload.slots
    latest = progress

    def decide(arm: str, slot: int) -> bool:
        cell = slots[slot].cell
        return not latest.stop and not failures.too_many() and wanted(latest, arm, cell.context, cell.belief)

    head = _Head(run, decide, max(1, math.ceil(workload.units / _SHARDS)))
    # What an earlier execution left, first: cells of a gate that it closed are not asked again.
    await asker.settled()
    while head.behind() and not latest.stop:
        latest = await look(run, head.next())
    asking = asyncio.create_task(asker.ask(decide, 0, workload.upto(workload.units)))
    asking.add_done_callback(lambda _: asker.arrived.fire())
    try:
        while not asking.done() and not latest.stop and not run.invariants:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asker.arrived.until(lambda: asking.done() or head.ripe())
            if head.ripe():
                latest = await look(run, head.next())
        await asking
        await asker.settled()
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    if latest.stop and not run.invariants:
        return latest
    return await look(run, head.complete if run.invariants else workload.units)


class _Head:
    """Counts the units at the head of the order in which nothing is missing any more.

    Attributes:
        complete: Units of the last look.
    """

    def __init__(self, run: Run, decide: Callable[[str, int], bool], shard: int) -> None:
        self._run = run
        self._decide = decide
        self._shard = shard
        self._units = 0
        self.complete = 0

    def ripe(self) -> bool:
        """Whether enough units are done for another look."""
        return self.behind() and self._units >= min(self.complete + self._shard, self._run.prepared.workload.units)

    def behind(self) -> bool:
        """Whether any units are done that no look has seen."""
        workload = self._run.prepared.workload
        while self._units < workload.units and self._done(workload.upto(self._units), workload.upto(self._units + 1)):
            self._units += 1
        return self._units > self.complete

    def next(self) -> int:
        """Units of the look that is taken now."""
        self.complete = self._units
        return self.complete

    def _done(self, start: int, stop: int) -> bool:
        for name, board in self._run.board.arms.items():
            for slot in range(start, stop):
                code = board.verdict[slot]
                if code == UNGRADED or (code == MISSING and self._decide(name, slot)):
                    return False
        return True
