"""Crossing probabilities against the multivariate normal distribution and known constants."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from services.orchestrator.domain.statistics.boundary import critical_value, crossing_probability, look_levels


@pytest.mark.parametrize("bound", [-0.5, 0.3, 1.751, 3.0])
def test_crossing_equals_the_multivariate_normal(bound: float) -> None:
    times = np.arange(1, 6) / 5
    joint = stats.multivariate_normal(
        mean=np.zeros(5), cov=np.minimum.outer(times, times), maxpts=2_000_000, abseps=1e-8
    )
    below = joint.cdf(np.full(5, bound), rng=np.random.default_rng(1))
    assert crossing_probability(bound) == pytest.approx(1 - below, abs=1e-6)


@pytest.mark.parametrize("bound", [-1.0, 0.5, 2.5])
def test_two_looks_equal_the_bivariate_normal(bound: float) -> None:
    joint = stats.multivariate_normal(mean=[0, 0], cov=[[0.5, 0.5], [0.5, 1.0]])
    assert crossing_probability(bound, 2) == pytest.approx(1 - joint.cdf([bound, bound]), abs=1e-9)
    assert crossing_probability(bound, 1) == pytest.approx(stats.norm.sf(bound), abs=1e-12)


def test_the_published_constant() -> None:
    assert crossing_probability(1.751) == pytest.approx(0.05, abs=5e-5)
    assert critical_value(0.05 - 1e-9) == pytest.approx(critical_value(0.05), abs=5e-4)
    for alpha in (0.005, 0.025, 0.1):
        assert crossing_probability(critical_value(alpha)) == pytest.approx(alpha, rel=1e-8)


def test_levels_rise_to_the_last_look() -> None:
    levels = look_levels(0.05)
    assert levels == tuple(sorted(levels))
    assert levels[4] == pytest.approx(stats.norm.sf(1.751), abs=1e-12)
    assert levels[0] == pytest.approx(stats.norm.sf(1.751 * math.sqrt(5)), abs=1e-12)


def test_monotone_and_finite_far_out() -> None:
    values = [crossing_probability(b) for b in np.linspace(-3, 12, 61)]
    assert all(a >= b for a, b in itertools.pairwise(values))
    assert crossing_probability(math.inf) == 0.0
    # Small values keep their relative precision: the last look dominates.
    assert 1.0 < crossing_probability(6.0) / stats.norm.sf(6.0) < 2.0


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        crossing_probability(math.nan)
    with pytest.raises(ValueError, match="alpha"):
        critical_value(0.7)
