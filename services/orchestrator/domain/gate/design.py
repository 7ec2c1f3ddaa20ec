"""What a run's decisions depend on besides the data: gates, level, stopping rule, plan, and the seeded order of items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.orchestrator.domain.gate.rules import STOPPING, GateRule
from services.orchestrator.domain.statistics.boundary import look_levels
from services.orchestrator.domain.statistics.pairs import ItemKey

LOOKS = 5
PLANNED_DISCORDANCE = 0.10
PLANNED_RHO = 0.2
# How far a judge nobody has calibrated may favour one arm, as a share of the replies it decides.
UNCALIBRATED_JUDGE_BIAS = 0.05
# Weight of the planned variance, in items, against the observed one.
PLAN_WEIGHT = 50


def planned_variance(discordance: float, rho: float, pairs_per_item: float) -> float:
    """Variance of an item's mean paired difference: d (1 + (C - 1) rho) / C."""
    return discordance * (1.0 + (pairs_per_item - 1.0) * rho) / pairs_per_item


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Everything fixed before the first reply.

    Attributes:
        rules: The gates.
        candidates: Arms on which the gates decide.
        alpha: One-sided level.
        stopping: `group`, `fixed` or `anytime`.
        judge_bias: b by candidate, as a share: the upper bound of the calibrated judge's difference in error between the
            arms; a candidate left out has the uncalibrated 5 points.
        variances: Planned variance of D by gate, for `anytime`.
        variances_known: The plan comes from the document, a pilot or an earlier run; otherwise the e-processes bet on a
            running estimate shrunk to the plan.
        repeats: Replies per arm, item and cell, for the advice to an inconclusive gate.
        judge: A judge grades what the deterministic grader leaves, for the same.
    """

    rules: tuple[GateRule, ...]
    candidates: tuple[str, ...]
    alpha: float = 0.05
    stopping: str = "group"
    judge_bias: Mapping[str, float] = field(default_factory=dict)
    variances: Mapping[str, float] = field(default_factory=dict)
    variances_known: bool = False
    repeats: int = 1
    judge: bool = False

    def __post_init__(self) -> None:
        """Refuses settings that no run could follow."""
        if self.stopping not in STOPPING:
            raise ValueError(f"unknown stopping rule {self.stopping!r}")
        if not self.rules or not self.candidates:
            raise ValueError("a design needs a gate and a candidate")

    def levels(self) -> tuple[float, ...]:
        """One-sided level of the interval at each look; `fixed` has one look."""
        return look_levels(self.alpha, LOOKS) if self.stopping == "group" else (self.alpha,)

    def bias(self, candidate: str) -> float:
        """Judge bias b of a candidate, as a share; a judge measured to be harder on it earns no credit."""
        return max(0.0, self.judge_bias.get(candidate, UNCALIBRATED_JUDGE_BIAS))

    def variance(self, rule: GateRule) -> float:
        """Planned variance of D of a gate."""
        return self.variances.get(rule.name, planned_variance(PLANNED_DISCORDANCE, PLANNED_RHO, 1.0))


@dataclass(frozen=True, slots=True)
class ItemOrder:
    """The seeded random order in which units (items, or clusters of items) enter.

    Attributes:
        units: The items of each unit, in order.
    """

    units: tuple[tuple[ItemKey, ...], ...]

    @classmethod
    def of(cls, items: Sequence[ItemKey], clusters: Mapping[ItemKey, str] | None = None) -> "ItemOrder":
        """Units in the order of their first item; items of one cluster enter together.

        Raises:
            ValueError: An item occurs twice.
        """
        if len(set(items)) != len(items):
            raise ValueError("an item occurs twice in the order")
        named = clusters or {}
        units: dict[tuple[str, ...], list[ItemKey]] = {}
        for item in items:
            cluster = named.get(item, "")
            units.setdefault(("cluster", cluster) if cluster else ("item", *item), []).append(item)
        return cls(tuple(tuple(unit) for unit in units.values()))

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.units)

    def rank(self) -> dict[ItemKey, int]:
        """Position of every item's unit, from 0."""
        return {item: rank for rank, unit in enumerate(self.units) for item in unit}

    def items(self, start: int, stop: int) -> tuple[ItemKey, ...]:
        """Items of the units from `start` to before `stop`."""
        return tuple(item for unit in self.units[start:stop] for item in unit)

    def look_sizes(self, looks: int) -> tuple[int, ...]:
        """Units at each of `looks` equally spaced looks; the last has all."""
        return tuple(-(-self.size * k // looks) for k in range(1, looks + 1))
