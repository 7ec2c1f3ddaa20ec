"""What is known of every call of a run, in columns: the bridge from the ledger to the statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.statistics.pairs import FAILED, UNDECIDED, UNGRADABLE, VERDICTS, PairTable
from services.orchestrator.domain.workload import Workload

# Beyond the verdict codes: not asked yet, and answered but not graded yet.
MISSING = -2
UNGRADED = -1
_CODES = {name: code for code, name in enumerate(VERDICTS)}


class ArmBoard:
    """One arm's outcomes; every array has shape (slots,).

    Attributes:
        verdict: MISSING, UNGRADED, or a verdict code of `statistics.pairs` (FAILED: no reply).
        adopts: 1, 0 or UNDECIDED.
        judged: Only a judge decided.
        chars: Length of the reply in characters.
        warmth: SocioT; NaN where unscored.
    """

    def __init__(self, slots: int) -> None:
        self.verdict: NDArray[np.int8] = np.full(slots, MISSING, dtype=np.int8)
        self.adopts: NDArray[np.int8] = np.full(slots, UNDECIDED, dtype=np.int8)
        self.judged: NDArray[np.bool_] = np.zeros(slots, dtype=np.bool_)
        self.chars: NDArray[np.int64] = np.zeros(slots, dtype=np.int64)
        self.warmth: NDArray[np.float64] = np.full(slots, np.nan)

    def answered(self, slot: int, chars: int) -> None:
        """A reply arrived."""
        self.chars[slot] = chars
        self.verdict[slot] = UNGRADED

    def failed(self, slot: int) -> None:
        """There is no reply."""
        self.verdict[slot] = FAILED

    def graded(self, slot: int, verdict: str, adopts: bool | None, decided_by: str) -> None:
        """A grade arrived; a verdict that we do not know counts as ungradable."""
        self.verdict[slot] = _CODES.get(verdict, UNGRADABLE)
        self.adopts[slot] = UNDECIDED if adopts is None else int(adopts)
        self.judged[slot] = decided_by == "judge"

    def load(
        self,
        slots: Sequence[int],
        chars: Sequence[int],
        verdicts: Sequence[str],
        adopts: Sequence[bool | None],
        decided_by: Sequence[str],
    ) -> None:
        """Many replies with their grades at once; an empty verdict is a reply without one."""
        rows = np.fromiter(slots, np.int64, len(slots))
        self.chars[rows] = chars
        codes = [_CODES.get(verdict, UNGRADABLE) if verdict else UNGRADED for verdict in verdicts]
        self.verdict[rows] = codes
        self.adopts[rows] = [UNDECIDED if adopted is None else int(adopted) for adopted in adopts]
        self.judged[rows] = [decided == "judge" for decided in decided_by]

    def missing(self, start: int, stop: int) -> list[int]:
        """Slots from `start` to before `stop` that were not asked."""
        return [start + int(slot) for slot in np.flatnonzero(self.verdict[start:stop] == MISSING)]


class Board:
    """All arms' outcomes over one workload."""

    def __init__(self, workload: Workload, arms: Sequence[str]) -> None:
        slots = workload.slots
        items = workload.items
        self.workload = workload
        self.arms = {name: ArmBoard(len(slots)) for name in arms}
        self._item = [items[slot.item].id for slot in slots]
        self._task = [items[slot.item].task for slot in slots]
        self._cluster = [items[slot.item].cluster for slot in slots]
        self._context = [slot.cell.context for slot in slots]
        self._belief = [slot.cell.belief for slot in slots]
        self._statement = [slot.cell.statement for slot in slots]
        self._repeat = np.fromiter((slot.repeat for slot in slots), np.int64, len(slots))

    def table(self, treated: str, reference: str, units: int | None = None) -> PairTable:
        """The pairs of two arms among the first `units` units (default all): slots that both were asked."""
        stop = self.workload.upto(self.workload.units if units is None else units)
        trt, ref = self.arms[treated], self.arms[reference]
        both = (trt.verdict[:stop] != MISSING) & (ref.verdict[:stop] != MISSING)
        rows = np.flatnonzero(both)
        index = rows.tolist()

        def pick(values: list[str]) -> list[str]:
            return [values[row] for row in index]

        return PairTable.build(
            item=pick(self._item),
            task=pick(self._task),
            cluster=pick(self._cluster),
            context=pick(self._context),
            belief=pick(self._belief),
            statement=pick(self._statement),
            repeat=self._repeat[rows],
            verdict_ref=_known(ref.verdict[rows]),
            verdict_trt=_known(trt.verdict[rows]),
            adopts_ref=ref.adopts[rows],
            adopts_trt=trt.adopts[rows],
            judged=trt.judged[rows] | ref.judged[rows],
            length_ref=ref.chars[rows],
            length_trt=trt.chars[rows],
            warmth_ref=ref.warmth[rows],
            warmth_trt=trt.warmth[rows],
        )


def _known(verdict: NDArray[np.int8]) -> NDArray[np.int8]:
    """An answer without a grade is ungradable, as far as the statistics are concerned."""
    return np.where(verdict == UNGRADED, np.int8(UNGRADABLE), verdict)
