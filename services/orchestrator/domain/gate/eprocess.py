"""Betting e-processes and the confidence sequence of the `anytime` rule.

Wealth of a gambler who bets against a hypothesis about the mean of bounded differences; by Ville's inequality it ever
reaches 1/alpha with probability at most alpha if the hypothesis holds (Waudby-Smith and Ramdas, JRSS B 86, 1-27, 2024).
Functions work along the last axis.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.orchestrator.domain.gate.design import PLAN_WEIGHT

Floats = NDArray[np.float64]

_GRID_STEP = 0.001
# Most that one item may cost a gambler, and a floor under variances that a plan or a constant sample puts at zero.
_MOST_LOST = 0.95
_LEAST_VARIANCE = 1e-9
_CHUNK = 256


def bet(margin: float, variance: ArrayLike, offset: ArrayLike) -> Floats:
    """The stake lam = min(M / v, 0.9 / (1 + |offset|)): a bet that cannot lose everything."""
    floor = np.maximum(np.asarray(variance, dtype=np.float64), _LEAST_VARIANCE)
    return np.minimum(margin / floor, 0.9 / (1.0 + np.abs(offset)))


def pass_bet(margin: float, variance: ArrayLike, bias: float) -> Floats:
    """The stake against "worse by the margin": lower than `bet` only where the judge bias b is large.

    An item's shifted difference D + b s - M is at most 1 + b - M; without the cap a judge bias above 15 points could cost
    more than everything.
    """
    return np.minimum(bet(margin, variance, margin), _MOST_LOST / max(1e-9, 1.0 + bias - margin))


def running_variance(differences: ArrayLike, planned: float) -> Floats:
    """Variance known before each item: the earlier items' own, shrunk to the plan with the weight of 50 items.

    Args:
        differences: D_1..D_N in order, shape (..., N).
        planned: Planned variance of D.
    """
    d = np.asarray(differences, dtype=np.float64)
    seen = np.arange(d.shape[-1], dtype=np.float64)
    before = np.zeros_like(d)
    square = np.zeros_like(d)
    before[..., 1:] = np.cumsum(d, axis=-1)[..., :-1]
    square[..., 1:] = np.cumsum(d * d, axis=-1)[..., :-1]
    around_mean = np.maximum(0.0, square - before * before / np.maximum(1.0, seen))
    return np.asarray((PLAN_WEIGHT * planned + around_mean) / (PLAN_WEIGHT + seen))


@dataclass(frozen=True, slots=True, eq=False)
class Wealth:
    """Log wealth after each item, shape (..., N).

    Attributes:
        against_equal: logE_fail, against "not worse".
        against_margin: logE_pass, against "worse by the margin at least".
    """

    against_equal: Floats
    against_margin: Floats

    def p_fail(self) -> Floats:
        """exp(-running maximum of logE_fail), at most 1."""
        best = np.maximum.accumulate(np.maximum(self.against_equal, 0.0), axis=-1)
        return np.asarray(np.exp(-best))


def wealth(
    differences: ArrayLike, margin: float, variance: ArrayLike, judged: ArrayLike = 0.0, bias: float = 0.0
) -> Wealth:
    """Both e-processes of a gate.

    Args:
        differences: D_1..D_N in the seeded order, shape (..., N).
        margin: M as a share.
        variance: Variance the bets assume, scalar or shape (..., N); each value known before its item.
        judged: s_i, share of the item's pairs in which only a judge decided a reply; scalar or shape (..., N).
        bias: b; b s_i is added to D_i where PASS is at stake.
    """
    d = np.asarray(differences, dtype=np.float64)
    shifted = d + bias * np.asarray(judged, dtype=np.float64)
    return Wealth(
        against_equal=np.cumsum(np.log1p(bet(margin, variance, margin) * d), axis=-1),
        against_margin=np.cumsum(np.log1p(-pass_bet(margin, variance, bias) * (shifted - margin)), axis=-1),
    )


def confidence_sequence(
    differences: ArrayLike, margin: float, variance: ArrayLike, alpha: float
) -> tuple[float, float]:
    """Smallest and largest difference, on a grid of 0.1 point, that neither one-sided e-process has ruled out so far.

    Args:
        differences: D_1..D_N in order, shape (N,).
        margin: M as a share.
        variance: Variance the bets assume, scalar or shape (N,).
        alpha: One-sided level of each bound.

    Returns:
        Lower and upper bound; the grid value next to the mean, twice, if everything is ruled out.
    """
    d = np.asarray(differences, dtype=np.float64)
    v = np.broadcast_to(np.asarray(variance, dtype=np.float64), d.shape)
    steps = round(1.0 / _GRID_STEP)
    left = np.arange(-steps, steps + 1) / steps
    limit = math.log(1.0 / alpha)
    up, down = np.zeros_like(left), np.zeros_like(left)
    # What is ruled out once stays so: later items are only tried on what is left.
    for start in range(0, d.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        delta = left[:, np.newaxis]
        stakes = bet(margin, v[part], delta) * (d[part] - delta)
        above = up[:, np.newaxis] + np.cumsum(np.log1p(stakes), axis=-1)
        below = down[:, np.newaxis] + np.cumsum(np.log1p(-stakes), axis=-1)
        kept = np.maximum(above, below).max(axis=-1) < limit
        left, up, down = left[kept], above[kept, -1], below[kept, -1]
        if left.size == 0:
            near = round(float(d.mean()) * steps) / steps
            return near, near
    return float(left[0]), float(left[-1])
