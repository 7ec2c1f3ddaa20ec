"""Wilson, McNemar, Holm and Benjamini-Hochberg against scipy and statsmodels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.orchestrator.domain.statistics.multiplicity import benjamini_hochberg, holm
from services.orchestrator.domain.statistics.proportions import item_rate, mcnemar_exact, wilson


@settings(deadline=None)
@given(n=st.integers(1, 2_000), share=st.floats(0, 1))
def test_wilson_equals_scipy(n: int, share: float) -> None:
    k = round(n * share)
    expected = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
    found = wilson(k / n, n)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-10)


@pytest.mark.parametrize(("value", "n"), [(0.5, 0), (1.2, 10), (-0.1, 10), (float("nan"), 10)])
def test_wilson_refuses_what_is_no_proportion(value: float, n: float) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(value, n)


def test_one_reply_per_item_gives_the_textbook_interval() -> None:
    means = np.array([1.0] * 30 + [0.0] * 70)
    assert item_rate(means, 100).n == pytest.approx(100)
    assert item_rate(means, 100).lower == pytest.approx(wilson(0.3, 100).lower)


def test_replies_to_one_item_count_as_fewer_than_their_number() -> None:
    alike = item_rate(np.array([1.0] * 30 + [0.0] * 70), 400)
    mixed = item_rate(np.tile([0.25, 0.5, 0.0, 0.25], 25), 400)
    assert alike.n == pytest.approx(100)
    assert mixed.n == 400
    assert item_rate(np.zeros(50), 200).n == 50


@settings(deadline=None)
@given(b=st.integers(0, 80), c=st.integers(0, 80))
def test_mcnemar_equals_the_binomial_test(b: int, c: int) -> None:
    expected = 1.0 if b + c == 0 else stats.binomtest(b, b + c, 0.5).pvalue
    assert float(mcnemar_exact(b, c)) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_equal_statsmodels(p: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-12)


def test_holm_treats_further_axes_as_families() -> None:
    p = np.array([[0.01, 0.5], [0.02, 0.001]])
    assert holm(p)[:, 0] == pytest.approx([0.02, 0.02])
    assert holm(p)[:, 1] == pytest.approx([0.5, 0.002])
    assert holm([]).size == 0
    assert benjamini_hochberg([]).size == 0
