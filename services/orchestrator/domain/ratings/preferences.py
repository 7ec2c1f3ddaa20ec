"""Shares of judgements with an interval clustered two ways, by rater and by pair.

Cameron, Gelbach, Miller, JBES 29, 238-249 (2011): variance by rater plus variance by pair minus variance by both. Each has
the factor G / (G - 1); the sum is never taken below the larger of the two, and Student's t has min(raters, pairs) - 1
degrees of freedom. With one rater only pairs can be clustered on, and the interval says nothing of other raters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from services.orchestrator.domain.statistics.proportions import Rate, wilson

Floats = NDArray[np.float64]

PUBLISHED_PREFERENCE = 0.75
"""Share of the study's 600 judgements that preferred the warm reply (METHOD section 4)."""
PUBLISHED_AGREEMENT = 0.694
"""Share of its pairs on which raters agreed with SocioT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of judgements with its two-sided 95 % interval.

    Attributes:
        value: None without judgements.
        lower: None where too few raters or pairs leave no interval.
        upper: As `lower`.
        judgements: Number of judgements.
        pairs: Number of pairs.
        raters: Number of raters.
    """

    value: float | None
    lower: float | None
    upper: float | None
    judgements: int
    pairs: int
    raters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One rater's word on one pair.

    Attributes:
        pair: Id of the pair.
        rater: Who judged.
        treated: 1 the treated reply is warmer, 0 the other one, 0.5 neither.
        first: 1 the reply shown first is warmer, 0 the other one, 0.5 neither.
        sociot: Treated minus reference; None where it was not measured.
    """

    pair: str
    rater: str
    treated: float
    first: float
    sociot: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What raters say of warmth.

    Attributes:
        prefers_treated: Share finding the treated reply warmer; no preference counts as half.
        prefers_first: Share choosing what stood first: 0.5 without a bias of position.
        agrees_with_sociot: Share of judgements on the side of SocioT; judgements without a preference are left out.
        pairs_with_sociot: Share of pairs whose majority is on the side of SocioT; None without one.
        raters_agree: Share of two raters of one pair saying the same; None where no pair has two.
        ties: Judgements without a preference.
    """

    prefers_treated: Share
    prefers_first: Share
    agrees_with_sociot: Share
    pairs_with_sociot: Rate | None
    raters_agree: float | None
    ties: int
    published_preference: float = PUBLISHED_PREFERENCE
    published_agreement: float = PUBLISHED_AGREEMENT


def preferences(judgements: Sequence[Judgement]) -> Preferences:
    """Everything that follows from the judgements."""
    sided = [one for one in judgements if one.treated != 0.5 and one.sociot]
    return Preferences(
        prefers_treated=share(judgements, [one.treated for one in judgements]),
        prefers_first=share(judgements, [one.first for one in judgements]),
        agrees_with_sociot=share(sided, [float((one.treated > 0.5) == ((one.sociot or 0.0) > 0.0)) for one in sided]),
        pairs_with_sociot=_majorities(judgements),
        raters_agree=_raters_agree(judgements),
        ties=sum(one.treated == 0.5 for one in judgements),
    )


def share(judgements: Sequence[Judgement], outcomes: Sequence[float], confidence: float = 0.95) -> Share:
    """Mean outcome of judgements, each between 0 and 1, with its interval."""
    raters = len({one.rater for one in judgements})
    pairs = len({one.pair for one in judgements})
    if not judgements:
        return Share(value=None, lower=None, upper=None, judgements=0, pairs=0, raters=0)
    y = np.asarray(outcomes, dtype=np.float64)
    mean = float(y.mean())
    lower = upper = None
    if pairs > 1:
        by_pair = _variance(y - mean, [one.pair for one in judgements])
        variance, freedom = by_pair, pairs - 1
        if raters > 1:
            by_rater = _variance(y - mean, [one.rater for one in judgements])
            by_both = _variance(y - mean, [(one.rater, one.pair) for one in judgements])
            variance = max(by_rater, by_pair, by_rater + by_pair - by_both)
            freedom = min(raters, pairs) - 1
        half = float(stdtrit(freedom, 0.5 + confidence / 2.0)) * math.sqrt(variance)
        lower, upper = max(0.0, mean - half), min(1.0, mean + half)
    return Share(value=mean, lower=lower, upper=upper, judgements=len(judgements), pairs=pairs, raters=raters)


def _variance(left: Floats, groups: Sequence[object]) -> float:
    """Variance of the mean with clusters."""
    index = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    sums = np.bincount([index[name] for name in groups], weights=left)
    count = sums.size
    return float(sums @ sums) / left.size**2 * count / (count - 1) if count > 1 else 0.0


def _by_pair(judgements: Sequence[Judgement]) -> dict[str, list[Judgement]]:
    found: dict[str, list[Judgement]] = {}
    for one in judgements:
        found.setdefault(one.pair, []).append(one)
    return found


def _majorities(judgements: Sequence[Judgement]) -> Rate | None:
    same = []
    for members in _by_pair(judgements).values():
        mean = sum(one.treated for one in members) / len(members)
        sociot = members[0].sociot
        if sociot and mean != 0.5:
            same.append((mean > 0.5) == (sociot > 0.0))
    return wilson(sum(same) / len(same), len(same)) if same else None


def _raters_agree(judgements: Sequence[Judgement]) -> float | None:
    same = total = 0
    for members in _by_pair(judgements).values():
        for at, one in enumerate(members):
            total += len(members) - at - 1
            same += sum(one.treated == other.treated for other in members[at + 1 :])
    return same / total if total else None
