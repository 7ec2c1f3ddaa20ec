"""Stops a run in time when so many calls failed already that its verdict can only be INVALID."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.gate.evidence import MAX_FAILED
from services.orchestrator.domain.gate.result import Cause
from services.orchestrator.domain.statistics.pairs import FAILED
from services.orchestrator.service.run.state import Run


class Failures:
    """Counts an arm's failed calls against 2 % of all that a critical gate could ever ask of it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen = -1
        gated = {run.spec.baseline, *run.spec.gate.candidates}
        design = run.prepared.gating.design
        self._arms = [name for name in run.board.arms if design is None or name in gated]
        slots = run.prepared.workload.slots
        cells = [(slot.cell.context, slot.cell.belief) for slot in slots]
        rules = [frozenset(cells)] if design is None else [rule.cells for rule in design.rules if rule.critical]
        self._slices: list[NDArray[np.bool_]] = [
            np.fromiter((cell in rule for cell in cells), np.bool_, len(cells)) for rule in set(rules)
        ]

    def too_many(self) -> bool:
        """Whether the run is lost; says so among its invariants the first time."""
        counts = self._run.teller.counts.arms
        total = sum(counts[name].failed.total() for name in self._arms)
        if total != self._seen:
            self._seen = total
            for name in self._arms:
                failed = self._run.board.arms[name].verdict == FAILED
                if any(failed[part].sum() > MAX_FAILED * part.sum() for part in self._slices):
                    self._say(name)
                    break
        return bool(self._run.invariants)

    def _say(self, name: str) -> None:
        counts = self._run.teller.counts.arms[name]
        reasons = ", ".join(f"{count:,} x {reason}" for reason, count in counts.failed.most_common(3))
        example = next(iter(counts.said.values()), "")
        said = f" ({example})" if example else ""
        self._run.broke(
            Cause.FAILED_CALLS,
            f"more than {MAX_FAILED:.0%} of the calls of {name} failed: {reasons}{said}. No verdict can come of this, so the "
            "run stopped; the same command asks for what is missing",
        )
