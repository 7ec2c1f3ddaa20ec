"""What one gate sees of one candidate: the pairs of its cells by unit in the seeded order, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.orchestrator.domain.gate.rules import GateRule
from services.orchestrator.domain.statistics.pairs import FAILED, Ints, ItemKey, PairTable
from services.orchestrator.domain.statistics.sample import Sample, sample

MAX_FAILED = 0.02
MAX_UNGRADABLE = 0.05


def ungraded(ref: float, trt: float, margin: float) -> bool:
    """More than 5 % ungradable in an arm, or a difference between the arms above half the margin; all are shares."""
    return max(ref, trt) > MAX_UNGRADABLE or abs(trt - ref) > margin / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Missing and ungradable replies of a gate's slice; all values are shares.

    Attributes:
        failed_ref: Failed or empty calls of the baseline.
        failed_trt: Failed or empty calls of the candidate.
        ungradable_ref: Ungradable replies among the baseline's answers.
        ungradable_trt: Ungradable replies among the candidate's answers.
        judge_share: Mean over items of the share of pairs in which only a judge decided a reply.
        worst_lower: Estimate if every missing outcome favoured the candidate.
        worst_upper: Estimate if every missing outcome went against it.
    """

    failed_ref: float
    failed_trt: float
    ungradable_ref: float
    ungradable_trt: float
    judge_share: float
    worst_lower: float
    worst_upper: float

    @property
    def invalid(self) -> bool:
        """More than 2 % of an arm's calls failed."""
        return max(self.failed_ref, self.failed_trt) > MAX_FAILED

    def ungraded(self, margin: float) -> bool:
        """Whether too many replies are ungradable, or too unequal shares of them."""
        return ungraded(self.ungradable_ref, self.ungradable_trt, margin)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """A gate's data. Counts have shape (units of the order,); `sample.unit` is the position in the order.

    Attributes:
        sample: The pairs.
        slots: Replies asked of each arm.
        failed_ref: Failed or empty calls of the baseline.
        failed_trt: Failed or empty calls of the candidate.
        unknown_ref: Answers of the baseline without the metric's outcome.
        unknown_trt: Answers of the candidate without the metric's outcome.
        low: Sum of differences if every missing outcome favoured the candidate.
        high: Sum of differences if every missing outcome went against it.
    """

    sample: Sample
    slots: Ints
    failed_ref: Ints
    failed_trt: Ints
    unknown_ref: Ints
    unknown_trt: Ints
    low: Ints
    high: Ints

    def prefix(self, units: int) -> Sample:
        """The pairs of the first `units` units."""
        return self.sample.at(self.sample.unit < units)

    def quality(self, units: int) -> Quality:
        """Quality of the first `units` units."""
        slots = self.slots[:units]
        asked = max(1, int(slots.sum()))
        failed_ref, failed_trt = int(self.failed_ref[:units].sum()), int(self.failed_trt[:units].sum())
        present = slots > 0
        weight = np.where(present, slots, 1)
        count = max(1, int(present.sum()))
        judged = self.prefix(units)
        return Quality(
            failed_ref=failed_ref / asked,
            failed_trt=failed_trt / asked,
            ungradable_ref=int(self.unknown_ref[:units].sum()) / max(1, asked - failed_ref),
            ungradable_trt=int(self.unknown_trt[:units].sum()) / max(1, asked - failed_trt),
            judge_share=float(judged.judged_share.mean()) if judged.n_items else 0.0,
            worst_lower=float((self.low[:units] / weight).sum()) / count,
            worst_upper=float((self.high[:units] / weight).sum()) / count,
        )

    def quality_holds(self, margin: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether a gate may close after each unit, shape (units,)."""
        asked = np.maximum(1, np.cumsum(self.slots))
        shares = []
        for failed, unknown in ((self.failed_ref, self.unknown_ref), (self.failed_trt, self.unknown_trt)):
            lost = np.cumsum(failed)
            shares.append((lost / asked, np.cumsum(unknown) / np.maximum(1, asked - lost)))
        (lost_ref, vague_ref), (lost_trt, vague_trt) = shares
        good = (np.maximum(lost_ref, lost_trt) <= MAX_FAILED) & (np.maximum(vague_ref, vague_trt) <= MAX_UNGRADABLE)
        return np.asarray(good & (np.abs(vague_trt - vague_ref) <= margin / 2.0))


def units_of(table: PairTable, rank: Mapping[ItemKey, int]) -> Ints:
    """Position in the order of every row's unit, shape (rows,).

    Raises:
        ValueError: The table has an item that the order lacks.
    """
    try:
        return np.array([rank[key] for key in table.item_keys] or [0], dtype=np.int64)[table.item]
    except KeyError as error:
        raise ValueError(f"item {error.args[0]} is not in the order of this run") from None


def gather(rule: GateRule, table: PairTable, units: Ints, unit_count: int) -> Evidence:
    """The evidence of one gate on one candidate; `units` are those of `units_of`, of `unit_count` in the order."""
    mask = rule.mask(table)
    part, unit = table.take(mask), units[mask]
    known_ref = part.known(rule.metric, part.verdict_ref, part.adopts_ref)
    known_trt = part.known(rule.metric, part.verdict_trt, part.adopts_trt)
    _, y_ref, y_trt = part.outcome(rule.metric)
    lost_ref, lost_trt = part.verdict_ref == FAILED, part.verdict_trt == FAILED

    def count(weights: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Ints:
        return np.rint(np.bincount(unit, weights=weights, minlength=unit_count)).astype(np.int64)

    return Evidence(
        sample=sample(part, rule.metric, units=unit, unit_count=unit_count),
        slots=count(np.ones(part.rows)),
        failed_ref=count(lost_ref),
        failed_trt=count(lost_trt),
        unknown_ref=count(~known_ref & ~lost_ref),
        unknown_trt=count(~known_trt & ~lost_trt),
        low=count(np.where(known_trt, y_trt, 0) - np.where(known_ref, y_ref, 1)),
        high=count(np.where(known_trt, y_trt, 1) - np.where(known_ref, y_ref, 0)),
    )
