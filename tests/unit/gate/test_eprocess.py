"""The e-processes against a plain loop, and the promise that they never bet everything."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.gate.eprocess import bet, confidence_sequence, pass_bet, running_variance, wealth

values = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0]), min_size=1, max_size=60)


@settings(deadline=None)
@given(d=values, bias=st.floats(0.0, 1.0), margin=st.floats(0.001, 1.0), variance=st.floats(0.0, 1.0))
def test_wealth_equals_a_plain_loop_and_stays_finite(d: Any, bias: Any, margin: Any, variance: Any) -> None:
    games = wealth(d, margin, variance, np.ones(len(d)), bias)
    stake = min(margin / max(variance, 1e-9), 0.9 / (1 + margin))
    pass_stake = min(stake, 0.95 / max(1e-9, 1 + bias - margin))
    fail = passed = 0.0
    for k, x in enumerate(d):
        fail += math.log1p(stake * x)
        passed += math.log1p(-pass_stake * (x + bias - margin))
        assert games.against_equal[k] == pytest.approx(fail, abs=1e-9)
        assert games.against_margin[k] == pytest.approx(passed, abs=1e-9)
    assert np.all(np.isfinite(games.against_margin))
    assert np.all(np.diff(games.p_fail()) <= 0)
    assert np.all(games.p_fail() <= 1)


def test_the_judge_cap_leaves_the_usual_bias_alone() -> None:
    assert pass_bet(0.02, 0.04, 0.05) == bet(0.02, 0.04, 0.02)
    assert pass_bet(0.05, 1e-3, 0.05) == bet(0.05, 1e-3, 0.05)


@settings(deadline=None)
@given(d=values, planned=st.floats(0.01, 1.0))
def test_the_running_variance_knows_only_earlier_items(d: Any, planned: Any) -> None:
    found = running_variance(d, planned)
    for k in range(len(d)):
        past = np.array(d[:k])
        spread = float(np.square(past - past.mean()).sum()) if k else 0.0
        assert found[k] == pytest.approx((50 * planned + spread) / (50 + k), abs=1e-12)


def test_the_confidence_sequence_is_what_is_not_ruled_out() -> None:
    rng = np.random.default_rng(6)
    d = rng.choice([-1.0, 0.0, 1.0], p=[0.04, 0.9, 0.06], size=700)
    lower, upper = confidence_sequence(d, 0.02, 0.1, 0.05)
    kept = []
    for step in range(-1000, 1001):
        delta = step / 1000
        stake = min(0.02 / 0.1, 0.9 / (1 + abs(delta)))
        up, down = (np.cumsum(np.log1p(sign * stake * (d - delta))).max() for sign in (1, -1))
        if max(up, down, 0.0) < math.log(20):
            kept.append(delta)
    assert (lower, upper) == (kept[0], kept[-1])
    assert lower < d.mean() < upper


def test_a_contradictory_stream_leaves_the_mean() -> None:
    d = np.concatenate([np.ones(400), -np.ones(400)])
    assert confidence_sequence(d, 0.02, 0.1, 0.05) == (0.0, 0.0)
