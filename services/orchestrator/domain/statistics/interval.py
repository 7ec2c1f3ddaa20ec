"""The interval of a mean paired difference, with a third-moment shift and two pseudo-items.

One formula for every sample size. The plain t interval is too short when few pairs are discordant, because the sample
variance is then often near zero; a pair of pseudo-items at plus and minus one pair's worth of difference keeps it honest,
and the third-moment shift (Johnson, JASA 73, 536-544, 1978) corrects for skew. All functions work along the last axis,
so that simulations can treat many samples at once.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]


class TooFewItemsError(ValueError):
    """Fewer than two items: no interval exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean, variance and third central moment of a mean, each of shape (...,) over samples.

    Attributes:
        mean: Plain mean of the item differences, the estimate that is shown.
        standard_error: Plain standard error of that mean (no pseudo-items, no shift).
        center: Mean with the pseudo-items.
        variance: Variance of `center` (v / n).
        third: Third central moment of `center` (g / n^2).
        df: Degrees of freedom of Student's t.
    """

    mean: Floats
    standard_error: Floats
    center: Floats
    variance: Floats
    third: Floats
    df: int

    def shift(self, t: ArrayLike) -> Floats:
        """The third-moment shift of both bounds at quantile `t`: g (1 + 2 t^2) / (6 v n)."""
        return np.asarray(self.third * (1.0 + 2.0 * np.square(t)) / (6.0 * self.variance), dtype=np.float64)

    def bounds(self, alpha: float) -> tuple[Floats, Floats]:
        """Lower and upper bound, each of one-sided level `alpha`."""
        t = -stdtrit(self.df, alpha)
        center = self.center + self.shift(t)
        half = t * np.sqrt(self.variance)
        return center - half, center + half

    def p_worse(self) -> Floats:
        """One-sided p of "the true difference is not above zero", at most 0.5.

        p = 1 - F(t*), t* the smallest t >= 0 at which the lower bound L(t) is not above zero. L is quadratic in t; where it
        never reaches zero, t* is where L is least.
        """
        curve = self.third / (3.0 * self.variance)
        slope = np.sqrt(self.variance)
        start = self.center + curve / 2.0
        disc = self.variance - 4.0 * curve * start
        # The smaller root in the form that does not cancel; it also holds for zero and negative curvature.
        root = 2.0 * start / (slope + np.sqrt(np.maximum(disc, 0.0)))
        least = slope / (2.0 * np.where(disc < 0.0, curve, 1.0))
        t_star = np.where(start <= 0.0, 0.0, np.where(disc >= 0.0, root, least))
        return np.asarray(stdtr(self.df, -t_star), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A paired difference with its bounds; all values are shares (0.02 is two points).

    Attributes:
        estimate: Mean of the items' differences.
        lower: Lower bound of one-sided level `alpha`.
        upper: Upper bound of one-sided level `alpha`.
        alpha: One-sided level of each bound.
        standard_error: Plain standard error of the estimate.
        p_worse: One-sided p of "not worse"; at most 0.5.
        n_items: Items (or clusters) that entered.
        k_discordant: Items with any discordant pair; None where pairs do not apply.
    """

    estimate: float
    lower: float
    upper: float
    alpha: float
    standard_error: float
    p_worse: float
    n_items: int
    k_discordant: int | None = None


def widened(lower: float, estimate: float, upper: float) -> tuple[float, float]:
    """Bounds that take in their estimate.

    The quantiles of Student's t for a handful of items at a strict level are so large that the third-moment shift moves both
    bounds past the estimate: two items that both became worse would have an upper bound far below zero.
    """
    return min(lower, estimate), max(upper, estimate)


def moments(differences: ArrayLike, pseudo: ArrayLike) -> Moments:
    """Moments of the mean of `differences` with pseudo-items at plus and minus `pseudo`.

    Args:
        differences: Item differences, shape (..., N).
        pseudo: The half-width h of the pseudo-items, scalar or shape (...): one over the root of the mean pairs per item.

    Raises:
        TooFewItemsError: N is below 2.
        ValueError: A difference is not finite.
    """
    x = np.asarray(differences, dtype=np.float64)
    items = x.shape[-1]
    if items < 2:
        raise TooFewItemsError(f"an interval needs at least 2 items, not {items}")
    if not bool(np.all(np.isfinite(x))):
        raise ValueError("a difference is not finite")
    h = np.asarray(pseudo, dtype=np.float64)
    n = items + 2
    total = x.sum(axis=-1)
    mean = total / items
    center = total / n
    dev = x - center[..., np.newaxis]
    square = dev * dev
    v = (square.sum(axis=-1) + np.square(h - center) + np.square(h + center)) / (n - 1)
    g = ((square * dev).sum(axis=-1) + (h - center) ** 3 - (h + center) ** 3) / n
    plain = np.square(x - mean[..., np.newaxis]).sum(axis=-1) / (items - 1)
    return Moments(
        mean=mean,
        standard_error=np.sqrt(plain / items),
        center=center,
        variance=v / n,
        third=g / n**2,
        df=items - 1,
    )


def pool(parts: list[Moments]) -> Moments:
    """Moments of the mean of independent means, for table rows over several tasks; one part is returned as it is."""
    count = len(parts)
    if count == 0:
        raise TooFewItemsError("nothing to pool")
    if count == 1:
        return parts[0]

    def total(name: str) -> Any:
        return sum(getattr(part, name) for part in parts)

    squared = sum(np.square(part.standard_error) for part in parts)
    return Moments(
        mean=total("mean") / count,
        standard_error=np.sqrt(squared) / count,
        center=total("center") / count,
        variance=total("variance") / count**2,
        third=total("third") / count**3,
        df=int(total("df")),
    )


def to_interval(found: Moments, alpha: float, n_items: int, k_discordant: int | None = None) -> Interval:
    """The interval of one sample's moments at one-sided level `alpha`."""
    if not 0.0 < alpha <= 0.5:
        raise ValueError(f"alpha must lie above 0 and not above 0.5, not {alpha}")
    lower, upper = found.bounds(alpha)
    return Interval(
        estimate=float(found.mean),
        lower=float(lower),
        upper=float(upper),
        alpha=alpha,
        standard_error=float(found.standard_error),
        p_worse=float(found.p_worse()),
        n_items=n_items,
        k_discordant=k_discordant,
    )


def paired_interval(
    differences: ArrayLike, mean_pairs: float = 1.0, alpha: float = 0.05, k_discordant: int | None = None
) -> Interval:
    """The interval of METHOD section 8 for one sample.

    Args:
        differences: D_1..D_N, the mean paired difference of each item, shape (N,).
        mean_pairs: Mean number of pairs per item.
        alpha: One-sided level of each bound.
        k_discordant: Items with any discordant pair; default: those whose difference is not zero.

    Raises:
        TooFewItemsError: N is below 2.
    """
    # Sorted, because the last digit of a sum depends on the order of its terms and no result may depend on row order.
    x = np.sort(np.asarray(differences, dtype=np.float64))
    discordant = int(np.count_nonzero(x)) if k_discordant is None else k_discordant
    return to_interval(moments(x, 1.0 / math.sqrt(mean_pairs)), alpha, x.shape[-1], discordant)
