"""Shares of judgements: against statsmodels' two-way clusters, and by simulation."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from services.orchestrator.domain.ratings.preferences import Judgement, Share, preferences, share
from services.orchestrator.domain.statistics.proportions import wilson


def judgements(raters: int, pairs: int, seed: int, mean: float = 0.0, spread: float = 1.0) -> list[Judgement]:
    """Raters differ in what they call warm, and pairs in how clear they are."""
    rng = np.random.default_rng(seed)
    taste, clear = rng.normal(0, spread, raters), rng.normal(0, spread, pairs)
    return [
        Judgement(
            pair=f"p{p}",
            rater=f"r{r}",
            treated=float(rng.random() < 1 / (1 + math.exp(-(mean + taste[r] + clear[p])))),
            first=float(rng.random() < 0.5),
            sociot=float(rng.normal(0.02, 0.02)),
        )
        for r in range(raters)
        for p in range(pairs)
    ]


def share_of(found: list[Judgement]) -> Share:
    return share(found, [one.treated for one in found])


def test_the_interval_is_that_of_two_way_clusters() -> None:
    found = judgements(9, 30, 3)
    data = pd.DataFrame([(one.treated, one.pair, one.rater) for one in found], columns=["y", "pair", "rater"])
    parts = []
    for groups in (data["rater"], data["pair"], data["rater"] + data["pair"]):
        codes = pd.factorize(groups)[0]
        fitted = smf.ols("y ~ 1", data).fit(cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False})
        parts.append(float(fitted.cov_params().iloc[0, 0]) * len(set(codes)) / (len(set(codes)) - 1))
    error = math.sqrt(parts[0] + parts[1] - parts[2])
    one = share_of(found)
    half = stats.t.ppf(0.975, 8) * error
    assert one.value == pytest.approx(data["y"].mean())
    assert (one.lower, one.upper) == pytest.approx((one.value - half, one.value + half), abs=1e-12)
    assert (one.judgements, one.pairs, one.raters) == (270, 30, 9)


@pytest.mark.parametrize(("raters", "pairs"), [(8, 40), (20, 40)])
def test_the_interval_covers_the_mean_of_all_raters_and_pairs(raters: int, pairs: int) -> None:
    hits = 0
    runs = 300
    for seed in range(runs):
        one = share_of(judgements(raters, pairs, seed))
        hits += one.lower <= 0.5 <= one.upper
    # 95 % within three standard errors of the simulation; judgements as if independent would cover under 60 %.
    assert hits / runs > 0.91


def test_one_rater_is_clustered_by_pair_alone() -> None:
    found = judgements(1, 50, 1)
    one = share_of(found)
    y = np.array([judgement.treated for judgement in found])
    half = stats.t.ppf(0.975, 49) * y.std(ddof=1) / math.sqrt(50)
    assert (one.lower, one.upper) == pytest.approx((y.mean() - half, y.mean() + half))


def test_what_is_missing_is_none() -> None:
    empty = preferences([])
    assert empty.prefers_treated == Share(value=None, lower=None, upper=None, judgements=0, pairs=0, raters=0)
    assert empty.pairs_with_sociot is None
    one = preferences(judgements(3, 1, 1))
    assert one.prefers_treated.lower is None
    alone = [Judgement(pair="p", rater="r", treated=1.0, first=1.0, sociot=None)]
    assert preferences(alone).agrees_with_sociot.judgements == 0
    assert preferences(alone).raters_agree is None


def test_no_preference_is_a_half_and_says_nothing_of_sociot() -> None:
    def judgement(pair: str, treated: float, sociot: Any) -> Judgement:
        return Judgement(pair=pair, rater="r", treated=treated, first=treated, sociot=sociot)

    found = preferences(
        [judgement("1", 1.0, 0.1), judgement("2", 0.5, 0.1), judgement("3", 0.0, 0.1), judgement("4", 0.0, -0.1)]
    )
    assert found.prefers_treated.value == pytest.approx(0.375)
    assert found.ties == 1
    assert found.agrees_with_sociot.value == pytest.approx(2 / 3)
    assert found.pairs_with_sociot == wilson(2 / 3, 3)


def test_pairs_follow_their_majority() -> None:
    votes = {"p1": (1, 1, 0), "p2": (0, 0, 1), "p3": (1, 0)}
    found = preferences(
        [
            Judgement(pair=pair, rater=f"r{k}", treated=float(vote), first=0.0, sociot=0.01)
            for pair, ballot in votes.items()
            for k, vote in enumerate(ballot)
        ]
    )
    assert found.pairs_with_sociot == wilson(0.5, 2)
    assert found.raters_agree == pytest.approx(2 / 7)
    assert (found.published_preference, found.published_agreement) == (0.75, 0.694)
