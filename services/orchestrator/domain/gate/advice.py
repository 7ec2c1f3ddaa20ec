"""How much more data an inconclusive gate needs, if the difference is what it seems."""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from services.orchestrator.domain.gate.design import PLANNED_RHO
from services.orchestrator.domain.gate.rules import GateRule
from services.orchestrator.domain.statistics.sample import Sample

_POWER = 0.8
_MOST_ITEMS = 1_000_000
_MOST_REPEATS = 20


@dataclass(frozen=True, slots=True)
class Advice:
    """Further items, or further repeats of every cell; None where it is no remedy."""

    items: int | None
    repeats: int | None


def advise(rule: GateRule, found: Sample, alpha: float, allowance: float, repeats: int) -> Advice:
    """Items or repeats for an 80 % chance of a decision at the observed difference and variance.

    Below the margin the decision aimed at is PASS, at or above it FAIL.
    """
    if found.n_items < 2:
        return Advice(None, None)
    seen = found.moments()
    estimate = float(seen.mean)
    gap = estimate if estimate >= rule.margin else rule.margin - allowance - estimate
    if gap <= 0.0:
        return Advice(None, None)
    # The variance with the pseudo-items: it is not zero when no pair is discordant.
    variance = float(seen.variance) * (found.n_items + 2)
    z = -float(ndtri(alpha)) + float(ndtri(_POWER))
    needed = max(variance * z * z / gap**2, 3.0 / rule.margin if found.k_discordant < 10 else 0.0, found.n_items + 1.0)
    items = _round_up(needed - found.n_items) if needed <= _MOST_ITEMS else None
    return Advice(items, _repeats(found, found.n_items / needed, repeats))


def _repeats(found: Sample, shrink: float, repeats: int) -> int | None:
    """Further repeats that shrink the variance to this share of itself, if any number does."""
    rho = found.correlation()
    rho = PLANNED_RHO if rho is None else max(0.0, rho)
    pairs = found.mean_pairs
    room = shrink * (1.0 + (pairs - 1.0) * rho) - pairs * rho
    if room <= 0.0:
        return None
    more = math.ceil(repeats * (1.0 - rho) / room) - repeats
    return max(1, more) if more <= _MOST_REPEATS else None


def _round_up(items: float) -> int:
    """Two significant digits: the number is a rough one and should look it."""
    whole = math.ceil(items)
    unit = int(10 ** max(0, len(str(whole)) - 2))
    return -(-whole // unit) * unit
