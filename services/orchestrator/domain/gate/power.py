"""What a document can conclude, before anything is asked: METHOD section 8, "Gate" and "Early stopping"."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import bdtrc, ndtr, ndtri

from services.orchestrator.domain.gate.design import (
    PLANNED_DISCORDANCE,
    PLANNED_RHO,
    Design,
    planned_variance,
)
from services.orchestrator.domain.gate.evidence import MAX_UNGRADABLE
from services.orchestrator.domain.gate.rules import GateRule
from services.orchestrator.domain.gate.sequential import MIN_DISCORDANT, RULE_OF_THREE
from services.orchestrator.domain.gate.streams import Ends, Truth, anytime_ends, expected_bounds, group_ends

HOPELESS = 0.10
WEAK = 0.80
_MOST_ITEMS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePower:
    """What one gate can conclude on one candidate.

    Attributes:
        gate: Name of the gate.
        candidate: Name of the arm.
        critical: Whether it decides.
        margin_pp: Margin in points.
        items: Items (or clusters) with a pair of the gate.
        cells: Pairs per item, rounded.
        pass_if_equal: P(PASS) if there is no difference.
        fail_if_twice_margin: P(FAIL) if the difference is twice the margin.
        pass_at_margin: P(PASS) if the difference is the margin: the risk of a false PASS.
        minimum_detectable_pp: Difference in points that FAILs with probability 0.8; None if none up to 100 does.
        items_for_80: Items for `pass_if_equal` of 0.8; None if no number is enough.
        expected_share: Share of the items asked until the gate closes, if there is no difference; 1 in the fixed design.
    """

    gate: str
    candidate: str
    critical: bool
    margin_pp: float
    items: int
    cells: int
    pass_if_equal: float
    fail_if_twice_margin: float
    pass_at_margin: float
    minimum_detectable_pp: float | None
    items_for_80: int | None
    expected_share: float


@dataclass(frozen=True, slots=True)
class Slice:
    """What a gate gets to see: units with any of its cells, and pairs per unit (cells times repeats)."""

    items: int
    pairs: float


def slices(
    rules: Sequence[GateRule],
    cells: Sequence[Sequence[tuple[str, str]]],
    repeats: int = 1,
    clusters: Sequence[str] | None = None,
) -> dict[str, Slice]:
    """Every gate's slice of a design.

    Args:
        rules: The gates.
        cells: (context, belief) of every cell of each item.
        repeats: Replies per arm and cell.
        clusters: Cluster of each item; an empty name makes it its own unit.
    """
    patterns = Counter(tuple(item) for item in cells)
    found: dict[str, Slice] = {}
    for rule in rules:
        wanted = rule.cells
        width = {pattern: sum(cell in wanted for cell in pattern) for pattern in patterns}
        pairs = repeats * sum(width[pattern] * count for pattern, count in patterns.items())
        if clusters is None:
            units = sum(count for pattern, count in patterns.items() if width[pattern])
        else:
            named = {(name, "") if name else ("", str(i)) for i, name in enumerate(clusters) if width[tuple(cells[i])]}
            units = len(named)
        found[rule.name] = Slice(units, pairs / units if units else 0.0)
    return found


def judged_pairs(judged_replies: float) -> float:
    """Share of pairs in which only a judge decides a reply, when it decides this share of an arm's replies."""
    return 1.0 - (1.0 - judged_replies) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a plan assumes of the replies; all values are shares.

    Attributes:
        discordance: d, share of discordant pairs.
        rho: Correlation of an item's paired differences over its cells.
        judged: Share of pairs in which only a judge decides a reply.
        ungradable: Share of an arm's replies that nothing decides: above 5 % no gate closes.
        seed: Seed of the simulated streams.
    """

    discordance: float = PLANNED_DISCORDANCE
    rho: float = PLANNED_RHO
    judged: float = 0.0
    ungradable: float = 0.0
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """The power of every gate of a design.

    Attributes:
        design: Gates, level, stopping rule, judge bias; variances of D by gate where they are known.
        slices: By gate, see `slices`.
        assumptions: What else is assumed.
    """

    design: Design
    slices: Mapping[str, Slice]
    assumptions: Assumptions = field(default_factory=Assumptions)

    def gates(self) -> tuple[GatePower, ...]:
        """Every gate on every candidate, in the design's order."""
        seen: dict[tuple[object, ...], GatePower] = {}
        found = []
        for candidate in self.design.candidates:
            for rule in self.design.rules:
                size = self.slices.get(rule.name, Slice(0, 0.0))
                # Gates of equal size and margin have equal power.
                key = (
                    size,
                    rule.margin,
                    rule.fail_on,
                    self.design.variances.get(rule.name),
                    self.design.bias(candidate),
                )
                if key not in seen:
                    seen[key] = self._gate(rule, candidate, size)
                found.append(replace(seen[key], gate=rule.name, candidate=candidate, critical=rule.critical))
        return tuple(found)

    def asked_share(self, cells: Mapping[tuple[str, str], float]) -> float:
        """Expected share of all calls of all arms under the stopping rule, if there is no difference.

        A candidate's cell is asked until every gate that uses it has closed or the run ends; the baseline's until no
        candidate needs it. Gates are taken as independent of each other.

        Args:
            cells: Weight (number of replies) of each (context, belief).
        """
        design = self.design
        total = sum(cells.values())
        if design.stopping == "fixed" or not total:
            return 1.0
        ends = {
            (candidate, rule.name): self._ends(rule, candidate, 0.0, self.slices[rule.name].items, number)
            for number, (candidate, rule) in enumerate((c, r) for c in design.candidates for r in design.rules)
        }
        voting = [ends[c, r.name] for c in design.candidates for r in design.rules if r.critical]
        shares = np.array([end.share for end in voting])
        fails = np.array([np.where(end.failed, end.share, 1.0) for end in voting])
        stop = np.minimum(shares.max(axis=0), fails.min(axis=0)) if voting else np.ones(1)
        asked = 0.0
        for cell, weight in cells.items():
            needs = []
            for candidate in design.candidates:
                using = [ends[candidate, rule.name].share for rule in design.rules if cell in rule.cells]
                needs.append(np.minimum(stop, np.max(using, axis=0)) if using else stop)
            asked += weight * (sum(float(need.mean()) for need in needs) + float(np.max(needs, axis=0).mean()))
        return asked / (total * (1 + len(design.candidates)))

    def _gate(self, rule: GateRule, candidate: str, size: Slice) -> GatePower:
        margin = rule.margin
        passes = 0.0, 0.0
        fails, share = 0.0, 1.0
        detectable, needed = None, None
        if size.items >= 2 and self.assumptions.ungradable <= MAX_UNGRADABLE:
            passes = (
                self._chances(rule, candidate, 0.0, size.items)[0],
                self._chances(rule, candidate, margin, size.items)[0],
            )
            fails = self._chances(rule, candidate, 2.0 * margin, size.items)[1]
            detectable = self._detectable(rule, candidate, size.items)
            if self.design.stopping != "fixed":
                share = float(self._ends(rule, candidate, 0.0, size.items).share.mean())
        if size.items and self.assumptions.ungradable <= MAX_UNGRADABLE:
            needed = self._needed(rule, candidate)
        return GatePower(
            gate=rule.name,
            candidate=candidate,
            critical=rule.critical,
            margin_pp=rule.margin_pp,
            items=size.items,
            cells=round(size.pairs),
            pass_if_equal=passes[0],
            fail_if_twice_margin=fails,
            pass_at_margin=passes[1],
            minimum_detectable_pp=detectable,
            items_for_80=needed,
            expected_share=share,
        )

    def _variance(self, rule: GateRule) -> float:
        known = self.design.variances.get(rule.name)
        if known is None:
            known = planned_variance(self.assumptions.discordance, self.assumptions.rho, self._pairs(rule))
        return max(known, 1e-9)

    def _pairs(self, rule: GateRule) -> float:
        return max(1.0, self.slices[rule.name].pairs)

    def _touched(self, rule: GateRule) -> float:
        """Share of items with any discordant pair: as if an item had its effective number of independent pairs."""
        pairs = self._pairs(rule)
        independent = pairs / (1.0 + (pairs - 1.0) * self.assumptions.rho)
        return float(max(1e-9, 1.0 - (1.0 - self.assumptions.discordance) ** independent))

    def _enough(self, rule: GateRule, items: float) -> float:
        """Chance that so many items satisfy K >= 10 or N >= 3 / M."""
        if items * rule.margin >= RULE_OF_THREE - 1e-9:
            return 1.0
        return float(bdtrc(MIN_DISCORDANT - 1, math.floor(items), self._touched(rule)))

    def _ends(self, rule: GateRule, candidate: str, difference: float, items: int, stream: int = 0) -> Ends:
        run = group_ends if self.design.stopping == "group" else anytime_ends
        truth = Truth(
            difference=difference,
            variance=self._variance(rule),
            pairs=self._pairs(rule),
            touched=self._touched(rule),
            margin=rule.margin,
            bias=self.design.bias(candidate),
            judged=self.assumptions.judged,
            alpha=self.design.alpha,
            any_worsening=rule.fail_on == "any_worsening",
        )
        return run(truth, items, lambda n: self._enough(rule, n), self.assumptions.seed + stream)

    def _allowance(self, candidate: str) -> float:
        return self.design.bias(candidate) * self.assumptions.judged

    def _chances(self, rule: GateRule, candidate: str, difference: float, items: int) -> tuple[float, float]:
        """P(PASS), P(FAIL) at a true difference."""
        if self.design.stopping != "fixed":
            ends = self._ends(rule, candidate, difference, items)
            return float(ends.passed.mean()), float(ends.failed.mean())
        se, scale, half = self._fixed(rule, items)
        allowance = self._allowance(candidate)
        fails = float(ndtr((difference - self._worst(rule, candidate, items)) / se))
        if allowance >= rule.margin:
            return 0.0, fails
        passes = float(ndtr((rule.margin - allowance - half - scale * difference) / (scale * se)))
        return passes * self._enough(rule, items), fails

    def _fixed(self, rule: GateRule, items: int) -> tuple[float, float, float]:
        """Standard error of the mean, and its bounds: scale * mean -+ half."""
        variance = self._variance(rule)
        scale, half = expected_bounds(variance, self._pairs(rule), items, self.design.alpha)
        return math.sqrt(variance / items), float(scale), float(half)

    def _worst(self, rule: GateRule, candidate: str, items: int) -> float:
        """The mean from which the fixed design FAILs: L > 0, and estimate >= M (`any_worsening`: U >= M)."""
        _, scale, half = self._fixed(rule, items)
        if rule.fail_on == "any_worsening":
            return max(half, rule.margin - self._allowance(candidate) - half) / scale
        return max(rule.margin, half / scale)

    def _detectable(self, rule: GateRule, candidate: str, items: int) -> float | None:
        """The difference, in points, that FAILs with probability 0.8."""
        power = float(ndtri(WEAK))
        if self.design.stopping == "fixed":
            found = self._worst(rule, candidate, items) + power * self._fixed(rule, items)[0]
            return 100.0 * found if found <= 1.0 else None
        high = _first(lambda x: self._chances(rule, candidate, x, items)[1] >= WEAK, rule.margin / 20.0, 1.0)
        return None if high is None else 100.0 * high

    def _needed(self, rule: GateRule, candidate: str) -> int | None:
        """Items for P(PASS | no difference) = 0.8."""
        room = rule.margin - self._allowance(candidate)
        if room <= 0.0:
            return None
        z = float(ndtri(WEAK)) - float(ndtri(self.design.alpha))
        closed = self._variance(rule) * z * z / room**2
        if closed > _MOST_ITEMS:
            return None
        start = max(2.0, closed)
        if self.design.stopping == "fixed" and self._enough(rule, start) > 0.999:
            return math.ceil(start)
        found = _first(
            lambda n: self._chances(rule, candidate, 0.0, math.ceil(n))[0] >= WEAK,
            start,
            max(8.0 * start, 6.0 / rule.margin),
        )
        return None if found is None else math.ceil(found)


def _first(holds: Callable[[float], bool], low: float, high: float) -> float | None:
    """Smallest x between `low` and `high` where a rising condition holds, to a percent; None if it does not at `high`."""
    if holds(low):
        return low
    if not holds(high):
        return None
    while high > 1.01 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def can_conclude(gates: Sequence[GatePower]) -> bool:
    """Whether any critical gate has a fair chance of a decision.

    False if for every critical gate P(PASS | no difference) and P(FAIL | twice the margin) are both under .10.
    """
    return any(max(gate.pass_if_equal, gate.fail_if_twice_margin) >= HOPELESS for gate in gates if gate.critical)


def power_warnings(planner: Planner, gates: Sequence[GatePower]) -> tuple[str, ...]:
    """Weak gates in sentences, with what to change."""
    found = []
    for gate in gates:
        if not gate.critical or gate.pass_if_equal >= WEAK:
            continue
        head = f"{gate.gate} ({gate.candidate}): "
        allowance = 100.0 * planner.design.bias(gate.candidate) * planner.assumptions.judged
        if gate.items < 2:
            found.append(f"{head}no two items have its cells, so it cannot close; add items or make the gate advisory")
        elif planner.assumptions.ungradable > MAX_UNGRADABLE:
            found.append(
                f"{head}{planner.assumptions.ungradable:.0%} of the replies are decided by no grader and "
                f"{MAX_UNGRADABLE:.0%} may be, so it cannot close; add a judge"
            )
        elif allowance >= gate.margin_pp:
            found.append(
                f"{head}a judge decides {planner.assumptions.judged:.0%} of the pairs, which costs {allowance:.1f} points of "
                f"a margin of {gate.margin_pp:g}: no PASS is possible; calibrate the judge or widen the margin"
            )
        else:
            wanted = "" if gate.items_for_80 is None else f"; {gate.items_for_80:,} items give 80 %"
            found.append(
                f"{head}P(PASS) is {gate.pass_if_equal:.0%} with {gate.items:,} items if there is no difference{wanted}"
            )
    return tuple(found)
