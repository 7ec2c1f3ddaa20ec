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
    if design is None:
        await asker.ask(_unless_broken(run, None), 0, workload.upto(workload.units))
        await asker.settled()
        return None
    progress = await look(run, 0)
    if design.stopping == "anytime":
        return await _anytime(run, asker, progress)
    complete = 0
    while not progress.stop and not run.invariants:
        await asker.ask(_unless_broken(run, progress), workload.upto(complete), workload.upto(progress.ask_units))
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


def _unless_broken(run: Run, progress: Progress | None) -> Callable[[str, int], bool]:
    slots = run.prepared.workload.slots

    def decide(arm: str, slot: int) -> bool:
        cell = slots[slot].cell
        return not run.invariants and wanted(progress, arm, cell.context, cell.belief)

    return decide


async def _anytime(run: Run, asker: Asker, progress: Progress) -> Progress:
    """Everything is asked in the seeded order, and the gate looks whenever some more units at its head are done."""
    workload = run.prepared.workload
    latest = progress
    shard = max(1, math.ceil(workload.units / _SHARDS))
    slots = workload.slots

    def decide(arm: str, slot: int) -> bool:
        cell = slots[slot].cell
        return not latest.stop and not run.invariants and wanted(latest, arm, cell.context, cell.belief)

    asking = asyncio.create_task(asker.ask(decide, 0, workload.upto(workload.units)))
    asking.add_done_callback(lambda _: asker.arrived.fire())
    complete = 0
    head = _Head(run)
    try:
        while not asking.done() and not latest.stop and not run.invariants:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asker.arrived.until(lambda: asking.done() or head.units(decide) >= complete + shard)
            done = head.units(decide)
            if done >= complete + shard:
                complete = done
                latest = await look(run, complete)
        await asking
        await asker.settled()
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    if latest.stop and not run.invariants:
        return latest
    return await look(run, workload.units if not run.invariants else complete)


class _Head:
    """Counts the units at the head of the order in which nothing is missing any more."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._units = 0

    def units(self, decide: Callable[[str, int], bool]) -> int:
        """Units done, without gaps."""
        workload = self._run.prepared.workload
        while self._units < workload.units:
            start, stop = workload.upto(self._units), workload.upto(self._units + 1)
            for name, board in self._run.board.arms.items():
                for slot in range(start, stop):
                    open_now = board.verdict[slot] in (MISSING, UNGRADED)
                    if open_now and (board.verdict[slot] == UNGRADED or decide(name, slot)):
                        return self._units
            self._units += 1
        return self._units
