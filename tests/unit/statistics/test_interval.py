"""The adjusted interval against a straight-line computation of the method's formula, and its rules."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from services.orchestrator.domain.statistics.interval import (
    TooFewItemsError,
    moments,
    paired_interval,
    pool,
    to_interval,
)


def _by_hand(d: list[float], mean_pairs: float, alpha: float) -> tuple[float, float]:
    h = 1 / math.sqrt(mean_pairs)
    x = [*d, h, -h]
    n = len(x)
    m = sum(x) / n
    v = sum((a - m) ** 2 for a in x) / (n - 1)
    g = sum((a - m) ** 3 for a in x) / n
    t = stats.t.ppf(1 - alpha, len(d) - 1)
    shift = g * (1 + 2 * t**2) / (6 * v * n)
    return m + shift - t * math.sqrt(v / n), m + shift + t * math.sqrt(v / n)


def _lower_at(d: list[float], mean_pairs: float, t: Any) -> Any:
    h = 1 / math.sqrt(mean_pairs)
    x = np.array([*d, h, -h])
    n = x.size
    m = x.mean()
    v = x.var(ddof=1)
    g = ((x - m) ** 3).mean()
    return m + g * (1 + 2 * t**2) / (6 * v * n) - t * math.sqrt(v / n)


differences = st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.0, 0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=60)


@settings(deadline=None)
@given(d=differences, pairs=st.sampled_from([1.0, 1.7, 4.0, 10.0]), alpha=st.sampled_from([0.01, 0.025, 0.05, 0.2]))
def test_bounds_equal_the_straight_line_computation(d: list[float], pairs: float, alpha: float) -> None:
    found = paired_interval(d, pairs, alpha)
    assert (found.lower, found.upper) == pytest.approx(_by_hand(d, pairs, alpha), abs=1e-10)
    assert found.estimate == pytest.approx(sum(d) / len(d), abs=1e-12)


@settings(deadline=None)
@given(d=differences, pairs=st.sampled_from([1.0, 4.0]))
def test_p_is_at_the_first_t_whose_lower_bound_is_not_above_zero(d: list[float], pairs: float) -> None:
    grid = np.linspace(0, 60, 6_001)
    lower = _lower_at(d, pairs, grid)
    below = np.flatnonzero(lower <= 0)
    if below.size == 0:
        t_star = grid[int(lower.argmin())]
    elif below[0] == 0:
        t_star = 0.0
    else:
        t_star = optimize.brentq(lambda t: _lower_at(d, pairs, t), grid[below[0] - 1], grid[below[0]])
    expected = stats.t.sf(t_star, len(d) - 1)
    assert paired_interval(d, pairs).p_worse == pytest.approx(expected, abs=2e-3 if below.size == 0 else 1e-9)


@settings(deadline=None)
@given(d=differences, alpha=st.sampled_from([0.01, 0.05, 0.2]))
def test_p_below_alpha_implies_a_lower_bound_above_zero(d: list[float], alpha: float) -> None:
    found = paired_interval(d, 1.0, alpha)
    if found.p_worse < alpha:
        assert found.lower > 0


@settings(deadline=None)
@given(d=differences, pairs=st.sampled_from([1.0, 4.0]), seed=st.integers(0, 1000))
def test_order_changes_no_digit_and_swapping_arms_mirrors(d: list[float], pairs: float, seed: int) -> None:
    one = paired_interval(d, pairs)
    shuffled = list(np.random.default_rng(seed).permutation(d))
    assert paired_interval(shuffled, pairs) == one
    swapped = paired_interval([-x for x in d], pairs)
    assert (swapped.lower, swapped.upper) == pytest.approx((-one.upper, -one.lower), abs=1e-12)
    assert swapped.estimate == pytest.approx(-one.estimate, abs=1e-15)


@pytest.mark.parametrize("d", [[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [0.0] * 1000, [1.0] + [0.0] * 999])
def test_degenerate_samples_are_finite(d: list[float]) -> None:
    found = paired_interval(d)
    assert math.isfinite(found.lower)
    assert math.isfinite(found.upper)
    assert found.lower < found.upper
    assert 0 <= found.p_worse <= 0.5


@pytest.mark.parametrize("d", [[], [0.5]])
def test_fewer_than_two_items_are_refused(d: list[float]) -> None:
    with pytest.raises(TooFewItemsError):
        paired_interval(d)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        paired_interval([0.0, math.nan, 1.0])


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.6, math.nan])
def test_impossible_levels_are_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        paired_interval([0.0, 1.0], 1.0, alpha)


def test_many_samples_at_once_equal_one_at_a_time() -> None:
    rng = np.random.default_rng(3)
    samples = rng.choice([-1.0, 0.0, 0.5, 1.0], size=(5, 40))
    found = moments(samples, 0.5)
    lower, _ = found.bounds(0.05)
    for row, low, p in zip(samples, lower, found.p_worse(), strict=True):
        single = paired_interval(row, 4.0)
        assert single.lower == pytest.approx(low, abs=1e-13)
        assert single.p_worse == pytest.approx(p, abs=1e-13)


def test_plain_standard_error_equals_clustered_ols() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(5)
    rows = rng.choice([-1.0, 0.0, 0.0, 1.0], size=(120, 6))
    found = paired_interval(rows.mean(axis=1), 6.0)
    fit = sm.OLS(rows.ravel(), np.ones(rows.size)).fit(
        cov_type="cluster", cov_kwds={"groups": np.repeat(np.arange(120), 6), "use_correction": False}
    )
    # The sandwich divides by N where the sample variance divides by N - 1.
    assert found.estimate == pytest.approx(float(fit.params[0]), abs=1e-10)
    assert found.standard_error == pytest.approx(float(fit.bse[0]) * math.sqrt(120 / 119), abs=1e-10)


def test_pooling_means_of_tasks() -> None:
    rng = np.random.default_rng(7)
    parts = [moments(np.sort(rng.choice([-1.0, 0.0, 1.0], size=n)), 1.0) for n in (50, 80)]
    both = to_interval(pool(parts), 0.05, 130)
    assert both.estimate == pytest.approx((float(parts[0].mean) + float(parts[1].mean)) / 2, abs=1e-15)
    expected = math.hypot(float(parts[0].standard_error), float(parts[1].standard_error)) / 2
    assert both.standard_error == pytest.approx(expected, abs=1e-15)
    assert pool(parts[:1]) is parts[0]
    with pytest.raises(TooFewItemsError):
        pool([])
