"""Simulated runs of one gate, for the plan: 2,000 seeded streams of item differences in the large-sample form.

A stream is two Brownian motions: the running sum of the differences' signs and the running count of items with a
difference. Looks of the `group` design and log wealths of the `anytime` design are linear in both, so that one set of
paths serves every gate, difference and number of items, and a plan takes fractions of a second.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

from services.orchestrator.domain.gate.design import LOOKS
from services.orchestrator.domain.gate.eprocess import bet, pass_bet
from services.orchestrator.domain.statistics.boundary import critical_value, look_levels

Floats = NDArray[np.float64]
Chance = Callable[[float], float]

STREAMS = 2_000
_CHECKS = 100
# Expected excess of a random walk over a level, in standard deviations of a step (Siegmund, Sequential Analysis, 1985).
_OVERSHOOT = 0.5826


def expected_bounds(variance: float, pairs: float, items: ArrayLike, alpha: ArrayLike) -> tuple[Floats, Floats]:
    """What the interval of METHOD section 8 makes of a plain mean: L, U = scale * mean -+ half, skewness left out.

    For many items scale is 1 and half is z sqrt(variance / items). For few, the pseudo-items and Student's t matter: without
    them a plan would promise a dozen items a tenth of a chance that they do not have.

    Args:
        variance: Variance of an item's difference.
        pairs: Mean pairs per item.
        items: Items, 2 or more, any shape.
        alpha: One-sided level, of a shape that goes with `items`.
    """
    n = np.asarray(items, dtype=np.float64)
    widened = ((n - 1.0) * variance + 2.0 / pairs) / (n + 1.0)
    half = -stdtrit(n - 1.0, np.asarray(alpha, dtype=np.float64)) * np.sqrt(widened / (n + 2.0))
    return n / (n + 2.0), half


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is assumed of a gate's items; all values are shares.

    Attributes:
        difference: True mean difference.
        variance: Variance of an item's difference about it.
        pairs: Mean pairs per item.
        touched: Share of items with any discordant pair.
        margin: M.
        bias: b of the judge.
        judged: s, share of pairs in which only a judge decides a reply.
        alpha: One-sided level.
        any_worsening: `fail_on: any_worsening`: a FAIL needs U >= M and not an estimate of M.
    """

    difference: float
    variance: float
    pairs: float
    touched: float
    margin: float
    bias: float
    judged: float
    alpha: float
    any_worsening: bool = False

    @property
    def allowance(self) -> float:
        """What the judge costs a PASS: b s."""
        return self.bias * self.judged


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """How each stream ends, shape (STREAMS,).

    Attributes:
        passed: It closes as PASS.
        failed: It closes as FAIL.
        share: Share of the items used when it closes; 1 if it never does.
    """

    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    share: Floats


@cache
def _normals(seed: int, steps: int) -> tuple[Floats, Floats]:
    """Two independent Brownian motions at 1/steps .. 1, each of shape (STREAMS, steps)."""
    rng = np.random.default_rng((seed, steps))
    paths = rng.standard_normal((2, STREAMS, steps)).cumsum(axis=2) / math.sqrt(steps)
    return paths[0], paths[1]


def group_ends(truth: Truth, items: int, few: Chance, seed: int) -> Ends:
    """The group design: five looks, O'Brien and Fleming's boundary.

    Args:
        truth: What is assumed.
        items: Items in all.
        few: Chance that a number of items has the discordant items that a PASS needs.
        seed: Which streams.
    """
    path, other = _normals(seed, LOOKS)
    looks = np.arange(1, LOOKS + 1)
    sizes = -(-items * looks // LOOKS)
    usable = sizes >= 2
    asked = np.maximum(2, sizes)
    scale, half = expected_bounds(truth.variance, truth.pairs, asked, np.array(look_levels(truth.alpha)))
    unit = half / -stdtrit(asked - 1.0, np.array(look_levels(truth.alpha)))
    mean = truth.difference + math.sqrt(truth.variance / items) * path * (LOOKS / looks)
    upper = scale * mean + half + truth.allowance
    chance = np.array([few(float(size)) for size in sizes])
    lucky = _uniform(other[:, -1])[:, np.newaxis] < chance
    z = -ndtri(np.maximum(1e-300, stdtr(asked - 1.0, -np.maximum(0.0, scale * mean / unit))))
    highest = np.maximum.accumulate(z * np.sqrt(looks / LOOKS), axis=1)
    bad = upper >= truth.margin if truth.any_worsening else mean >= truth.margin
    fail = usable & (highest > critical_value(truth.alpha, LOOKS)) & bad
    passing = usable & (upper < truth.margin) & lucky
    return _ends(passing, fail, looks / LOOKS)


def anytime_ends(truth: Truth, items: int, few: Chance, seed: int) -> Ends:
    """The anytime design: both e-processes after every item, at most `items` of them."""
    steps = min(items, _CHECKS)
    path, other = _normals(seed, steps)
    size = truth.margin, truth.variance
    lam_fail = float(bet(*size, truth.margin))
    lam_pass = float(pass_bet(*size, truth.bias))
    touched = max(truth.touched, abs(truth.difference))
    jump = min(1.0, math.sqrt((truth.variance + truth.difference**2) / touched))
    touched = max(touched, abs(truth.difference) / jump)
    drift = truth.difference / jump
    # Sum of signs and count of touched items after each check, correlated as three-valued differences are.
    spread, joint = touched - drift**2, drift * (1.0 - touched)
    rest = max(0.0, touched * (1.0 - touched) - joint**2 / spread) if spread > 0 else 0.0
    time = np.arange(1, steps + 1) * (items / steps)
    root = math.sqrt(items)
    first = root * path * math.sqrt(max(spread, 1e-12))
    signs = time * drift + first
    count = time * touched + first * (joint / max(spread, 1e-12)) + root * math.sqrt(rest) * other
    values = jump * np.array([-1.0, 0.0, 1.0])

    def won(x: Floats) -> NDArray[np.bool_]:
        log = np.log1p(x)
        slope, bend = (log[2] - log[0]) / 2.0, (log[2] + log[0]) / 2.0 - log[1]
        wealth = log[1] * time + slope * signs + bend * count
        # Between two checks the wealth may have been higher than at both.
        per_item = math.sqrt(slope**2 * spread + 2.0 * slope * bend * joint + bend**2 * touched * (1.0 - touched))
        missed = _OVERSHOOT * per_item * (math.sqrt(items / steps) - 1.0)
        return np.asarray(np.maximum.accumulate(wealth, axis=1) >= math.log(1.0 / truth.alpha) - missed)

    chance = np.array([few(float(t)) for t in time])
    lucky = _uniform(other[:, -1])[:, np.newaxis] < chance
    passing = won(-lam_pass * (values + truth.allowance - truth.margin)) & lucky
    # Where both come at one item, `any_worsening` lets the PASS stand.
    fail = won(lam_fail * values) & (~passing if truth.any_worsening else jump * signs >= truth.margin * time)
    return _ends(passing, fail, time / items)


def _uniform(last: Floats) -> Floats:
    """A uniform number per stream, in the order of the streams' last position."""
    return (np.argsort(np.argsort(last)) + 0.5) / last.size


def _ends(passing: NDArray[np.bool_], failing: NDArray[np.bool_], share: Floats) -> Ends:
    never = passing.shape[1]
    first_pass = np.where(passing.any(axis=1), passing.argmax(axis=1), never)
    first_fail = np.where(failing.any(axis=1), failing.argmax(axis=1), never)
    end = np.minimum(first_pass, first_fail)
    return Ends(
        passed=(first_pass < first_fail),
        failed=(first_fail <= first_pass) & (first_fail < never),
        share=np.append(share, 1.0)[end],
    )
