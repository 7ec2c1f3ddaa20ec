"""What the gate says: one result per gate and candidate, and the verdict over them. Plain values, ready for JSON."""

from dataclasses import dataclass
from enum import StrEnum

PASS, FAIL, INCONCLUSIVE, INVALID, OPEN = "PASS", "FAIL", "INCONCLUSIVE", "INVALID", "OPEN"


class Cause(StrEnum):
    """Kinds of what makes a run INVALID."""

    DEAD_ARM = "dead_arm"
    UNLIKE_ARMS = "unlike_arms"
    MODEL_CHANGED = "model_changed"
    JUDGE_CHANGED = "judge_changed"
    FAILED_CALLS = "failed_calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate on one candidate. Differences, bounds and rates are shares; None where there is nothing to say.

    Attributes:
        gate: Name of the gate.
        candidate: Name of the arm.
        metric: Outcome that is counted.
        critical: Whether it has a vote.
        margin_pp: Margin in points.
        decision: PASS, FAIL, INCONCLUSIVE, INVALID; OPEN while the run goes on.
        improvement: A PASS whose upper bound lies below zero.
        reason: One sentence for a person.
        estimate: Mean paired difference.
        lower: Lower bound at this gate's last look.
        upper: Upper bound at this gate's last look, judge allowance included; PASS needs it below the margin.
        bound_alpha: One-sided level of the two bounds.
        p_fail: One-sided p of "not worse" under the stopping rule.
        p_adjusted: The same after Holm over all critical gates and candidates.
        rate_ref: Baseline's rate over the pairs.
        rate_trt: Candidate's rate over the pairs.
        n_items: Items with a pair.
        n_pairs: Pairs.
        k_discordant: Items with any discordant pair.
        worse: Pairs where only the candidate has the bad outcome.
        better: Pairs where only the baseline has it.
        discordance: d.
        rho: Correlation of an item's differences over its cells.
        judge_share: Mean share of pairs that only a judge decided.
        judge_allowance: b times that share, a part of the upper bound.
        failed_ref: Failed or empty calls of the baseline.
        failed_trt: Failed or empty calls of the candidate.
        ungradable_ref: Ungradable replies of the baseline.
        ungradable_trt: Ungradable replies of the candidate.
        worst_lower: Estimate if every missing outcome favoured the candidate.
        worst_upper: Estimate if every missing outcome went against it.
        more_items: About this many further items would settle it; None where that is no remedy.
        more_repeats: Or this many further repeats of every cell.
        units: Items asked when the gate closed, or so far.
        look: Looks taken when it closed, or so far; items under `anytime`.
    """

    gate: str
    candidate: str
    metric: str
    critical: bool
    margin_pp: float
    decision: str
    improvement: bool
    reason: str
    estimate: float | None
    lower: float | None
    upper: float | None
    bound_alpha: float
    p_fail: float
    p_adjusted: float
    rate_ref: float | None
    rate_trt: float | None
    n_items: int
    n_pairs: int
    k_discordant: int
    worse: int
    better: int
    discordance: float | None
    rho: float | None
    judge_share: float
    judge_allowance: float
    failed_ref: float
    failed_trt: float
    ungradable_ref: float
    ungradable_trt: float
    worst_lower: float
    worst_upper: float
    more_items: int | None
    more_repeats: int | None
    units: int
    look: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the run stands after the data it was given.

    Attributes:
        results: Every gate on every candidate, in the design's order.
        stop: Whether nothing more is to be asked.
        verdict: PASS, FAIL, INCONCLUSIVE, INVALID; OPEN while the run goes on.
        reason: The verdict in one sentence.
        looks_done: Looks taken; items under `anytime`.
        looks_total: Looks planned; items under `anytime`.
        ask_units: Units of the order that the next look needs; the run asks their still needed cells.
        closed_cells: By candidate, the (context, belief) that only closed gates use; no longer asked.
    """

    results: tuple[GateResult, ...]
    stop: bool
    verdict: str
    reason: str
    looks_done: int
    looks_total: int
    ask_units: int
    closed_cells: dict[str, frozenset[tuple[str, str]]]

    def needs(self, candidate: str, context: str, belief: str) -> bool:
        """Whether this cell is still asked of the candidate (and, if of any candidate, of the baseline)."""
        return not self.stop and (context, belief) not in self.closed_cells[candidate]
