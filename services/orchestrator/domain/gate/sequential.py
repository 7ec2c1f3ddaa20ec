"""When each gate closes: looks of the fixed and the group design, every item of the anytime design.

Closings are recomputed from the data in the seeded order each time. Nothing is carried over, so the order of arrival and the
number of resumes cannot change them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from services.orchestrator.domain.gate.design import LOOKS, Design, ItemOrder
from services.orchestrator.domain.gate.eprocess import running_variance, wealth
from services.orchestrator.domain.gate.evidence import Evidence
from services.orchestrator.domain.gate.result import FAIL, PASS
from services.orchestrator.domain.gate.rules import GateRule
from services.orchestrator.domain.statistics.boundary import crossing_probability
from services.orchestrator.domain.statistics.interval import widened
from services.orchestrator.domain.statistics.multiplicity import holm
from services.orchestrator.domain.statistics.pairs import Mask
from services.orchestrator.domain.statistics.sample import Sample

MIN_DISCORDANT = 10
# A gate with fewer discordant items needs this many items over the margin (the rule of three).
RULE_OF_THREE = 3.0
_NEVER = np.iinfo(np.int64).max

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lane:
    """One gate on one candidate, with what it sees."""

    rule: GateRule
    candidate: str
    evidence: Evidence
    bias: float
    variance: float


@dataclass(slots=True, kw_only=True)
class Closing:
    """Where a lane stands: `decision` is empty while it is open, the rest belongs to its last look.

    Attributes:
        decision: PASS, FAIL or empty.
        units: Units of the order that it has used.
        look: Looks taken; units under `anytime`.
        alpha: One-sided level of the bounds at that look.
        p_fail: One-sided p of "not worse" under the stopping rule.
        p_adjusted: The same after Holm.
    """

    alpha: float
    decision: str = ""
    units: int = 0
    look: int = 0
    p_fail: float = 1.0
    p_adjusted: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The closings, in the order of the lanes, and whether the run is over."""

    closings: list[Closing]
    stop: bool
    looks_done: int
    looks_total: int
    ask_units: int


def follow(design: Design, order: ItemOrder, lanes: Sequence[Lane], complete: int) -> Course:
    """The closings after the first `complete` units of the order."""
    if design.stopping == "anytime":
        return _every_item(design, order, lanes, complete)
    return _looks(design, order, lanes, complete)


def enough(rule: GateRule, k_discordant: int, n_items: int) -> bool:
    """Whether a PASS may rest on so few discordant items: K >= 10, or N >= 3 / M."""
    return k_discordant >= MIN_DISCORDANT or n_items * rule.margin >= RULE_OF_THREE - 1e-9


def _looks(design: Design, order: ItemOrder, lanes: Sequence[Lane], complete: int) -> Course:
    levels = design.levels()
    sizes = order.look_sizes(len(levels))
    closings = [Closing(alpha=levels[0]) for _ in lanes]
    highest = [-math.inf] * len(lanes)
    done, stop = 0, False
    for k, (units, level) in enumerate(zip(sizes, levels, strict=True)):
        if units > complete or stop:
            break
        done = k + 1
        seen: dict[int, Sample] = {}
        for i, (lane, closing) in enumerate(zip(lanes, closings, strict=True)):
            if closing.decision:
                continue
            closing.units, closing.look, closing.alpha = units, done, level
            found = lane.evidence.prefix(units)
            if found.n_items < 2:
                continue
            seen[i] = found
            p = float(found.moments().p_worse())
            if design.stopping == "group":
                highest[i] = max(highest[i], -float(ndtri(p)) * math.sqrt(done / LOOKS))
                p = crossing_probability(highest[i], LOOKS)
            closing.p_fail = p
        _adjust(lanes, closings)
        for i, found in seen.items():
            closings[i].decision = _decide(lanes[i], closings[i], found, design.alpha)
        stop = _over(lanes, closings)
    stop = stop or done == len(levels)
    ask = order.size if stop else sizes[done]
    return Course(closings=closings, stop=stop, looks_done=done, looks_total=len(levels), ask_units=ask)


def _adjust(lanes: Sequence[Lane], closings: Sequence[Closing]) -> None:
    """Holm over all critical gates and candidates, closed ones with their last p; an advisory gate stands alone."""
    voting = [i for i, lane in enumerate(lanes) if lane.rule.critical]
    adjusted = holm([closings[i].p_fail for i in voting])
    for closing in closings:
        if not closing.decision:
            closing.p_adjusted = closing.p_fail
    for i, p in zip(voting, adjusted.tolist(), strict=True):
        if not closings[i].decision:
            closings[i].p_adjusted = p


def _decide(lane: Lane, closing: Closing, found: Sample, alpha: float) -> str:
    rule = lane.rule
    quality = lane.evidence.quality(closing.units)
    if quality.invalid or quality.ungraded(rule.margin):
        return ""
    interval = found.interval(closing.alpha)
    _, upper = widened(interval.lower, interval.estimate, interval.upper)
    upper += lane.bias * quality.judge_share
    bad = upper >= rule.margin if rule.fail_on == "any_worsening" else interval.estimate >= rule.margin
    if closing.p_adjusted < alpha and bad:
        return FAIL
    if upper < rule.margin and enough(rule, found.k_discordant, found.n_items):
        return PASS
    return ""


def _over(lanes: Sequence[Lane], closings: Sequence[Closing]) -> bool:
    decisions = [closing.decision for lane, closing in zip(lanes, closings, strict=True) if lane.rule.critical]
    return FAIL in decisions or all(decisions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Path:
    """A lane after each unit, shape (units,)."""

    p_fail: Floats
    mean: Floats
    passed: int
    quality: Mask


def _every_item(design: Design, order: ItemOrder, lanes: Sequence[Lane], complete: int) -> Course:
    paths = [_path(lane, design, complete) for lane in lanes]
    voting = [i for i, lane in enumerate(lanes) if lane.rule.critical]
    stacked = np.array([path.p_fail for path in paths]).reshape(len(lanes), complete)
    adjusted = stacked.copy()
    adjusted[voting] = holm(stacked[voting])
    failed = []
    for i, (lane, path) in enumerate(zip(lanes, paths, strict=True)):
        rejected = (adjusted[i] <= design.alpha) & path.quality
        if lane.rule.fail_on == "margin":
            rejected &= path.mean >= lane.rule.margin
        failed.append(_first(rejected))
    fails = [failed[i] if _comes_first(lanes[i], failed[i], paths[i].passed) else _NEVER for i in range(len(lanes))]
    all_closed = max(min(fails[i], paths[i].passed) for i in voting) if voting else _NEVER
    end = min([all_closed, *(fails[i] for i in voting)])
    used = complete if end == _NEVER else end + 1
    closings = []
    for i, path in enumerate(paths):
        closed = min(fails[i], path.passed)
        closing = Closing(alpha=design.alpha, units=used, look=used)
        if closed < used:
            closing.decision = FAIL if fails[i] != _NEVER else PASS
            closing.units = closing.look = closed + 1
        if closing.units:
            closing.p_fail = float(stacked[i, closing.units - 1])
            closing.p_adjusted = float(adjusted[i, closing.units - 1])
        closings.append(closing)
    stop = end != _NEVER or complete == order.size
    return Course(closings=closings, stop=stop, looks_done=used, looks_total=order.size, ask_units=order.size)


def _comes_first(lane: Lane, failed: int, passed: int) -> bool:
    """Whether a FAIL precedes the PASS; at one and the same item `any_worsening` lets the PASS stand (U is below M)."""
    return failed < passed or (failed == passed and lane.rule.fail_on == "margin")


def lane_variance(lane: Lane, design: Design, found: Sample) -> float | Floats:
    """The variance that a lane's bets assume: the plan where it is known, else a running one."""
    return lane.variance if design.variances_known else running_variance(found.differences, lane.variance)


def _path(lane: Lane, design: Design, complete: int) -> _Path:
    rule = lane.rule
    found = lane.evidence.prefix(complete)
    last = np.searchsorted(found.unit, np.arange(complete), side="right")
    games = wealth(found.differences, rule.margin, lane_variance(lane, design, found), found.judged_share, lane.bias)

    def after_each_unit(per_item: NDArray[np.generic], start: float) -> Floats:
        return np.concatenate(([start], per_item.astype(np.float64)))[last]

    items = np.arange(1, found.n_items + 1)
    few = (np.cumsum(found.discordant > 0) < MIN_DISCORDANT) & (items * rule.margin < RULE_OF_THREE - 1e-9)
    best = np.maximum.accumulate(games.against_margin) if found.n_items else games.against_margin
    quality = lane.evidence.quality_holds(rule.margin)[:complete]
    won = after_each_unit((best >= math.log(1.0 / design.alpha)) & ~few, 0.0) > 0.0
    passed = _first(won & quality)
    p_fail = after_each_unit(games.p_fail(), 1.0)
    if passed != _NEVER:
        # Its cells may no longer be asked: what comes after its closing is not looked at.
        p_fail[passed:] = p_fail[passed]
    mean = after_each_unit(np.cumsum(found.differences) / items, 0.0)
    return _Path(p_fail=p_fail, mean=mean, passed=passed, quality=quality)


def _first(hits: Mask) -> int:
    return int(hits.argmax()) if bool(hits.any()) else _NEVER
