"""Single proportions and discordant counts: Wilson's interval and McNemar's exact test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, ndtri


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A proportion with its two-sided Wilson interval; all values are shares.

    Attributes:
        value: The proportion.
        lower: Lower bound.
        upper: Upper bound.
        n: Effective number of independent replies behind it.
        confidence: Two-sided confidence, 0.95 unless said.
    """

    value: float
    lower: float
    upper: float
    n: float
    confidence: float


def wilson(value: float, n: float, confidence: float = 0.95) -> Rate:
    """Wilson's score interval (JASA 22, 209-212, 1927) of a proportion.

    Raises:
        ValueError: `n` is not above zero, or `value` is no share.
    """
    if not n > 0 or not 0.0 <= value <= 1.0:
        raise ValueError(f"no proportion: {value} of {n}")
    z = float(ndtri(0.5 + confidence / 2.0))
    scale = 1.0 + z * z / n
    center = (value + z * z / (2.0 * n)) / scale
    half = z / scale * math.sqrt(value * (1.0 - value) / n + z * z / (4.0 * n * n))
    # At 0 and 1 the bound is exactly the value; rounding must not step outside the unit interval.
    lower = 0.0 if value == 0.0 else max(0.0, center - half)
    upper = 1.0 if value == 1.0 else min(1.0, center + half)
    return Rate(value=value, lower=lower, upper=upper, n=n, confidence=confidence)


def item_rate(item_means: ArrayLike, n_pairs: int, confidence: float = 0.95) -> Rate:
    """Wilson's interval of the mean of item means, at the number of independent replies that has the same variance.

    With one reply per item this is the textbook interval on N. Several replies to one item count as fewer than their
    number: n = p (1 - p) / (variance of the mean), between 1 and `n_pairs`; at p = 0 or 1 it is the number of items.

    Args:
        item_means: Share of each item's replies with the outcome, shape (N,).
        n_pairs: Replies in all.
        confidence: Two-sided confidence.
    """
    return task_rate([item_means], n_pairs, confidence)


def task_rate(tasks: Sequence[ArrayLike], n_pairs: int, confidence: float = 0.95) -> Rate:
    """The same for the mean of several tasks' means, tasks weighing equally; one array of item means per task."""
    # Sorted, so that the order of items changes no digit.
    parts = [np.sort(np.asarray(task, dtype=np.float64)) for task in tasks]
    means = [min(1.0, max(0.0, float(part.mean()))) for part in parts]
    value = sum(means) / len(means)
    spread = sum(float(np.square(part - mean).mean()) / part.size for part, mean in zip(parts, means, strict=True))
    spread /= len(parts) ** 2
    bernoulli = value * (1.0 - value)
    n = float(sum(part.size for part in parts)) if bernoulli <= 0.0 else float(n_pairs)
    if bernoulli > 0.0 and spread > 0.0:
        n = min(float(n_pairs), max(1.0, bernoulli / spread))
    return wilson(value, n, confidence)


def mcnemar_exact(worse: ArrayLike, better: ArrayLike) -> NDArray[np.float64]:
    """Two-sided exact McNemar p of discordant counts (binomial, 1/2), elementwise; 1 where no pair is discordant."""
    b = np.asarray(worse, dtype=np.int64)
    c = np.asarray(better, dtype=np.int64)
    tail = bdtr(np.minimum(b, c).astype(np.float64), b + c, 0.5)
    return np.minimum(1.0, 2.0 * np.asarray(tail, dtype=np.float64))
