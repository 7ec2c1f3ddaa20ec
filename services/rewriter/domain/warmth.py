"""How warm a text sounds by its words: points per hundred words of prose. A plain measure that needs no model.

Warm words count 1 point, exclamation marks and words for togetherness a half, contractions a quarter (`data/warmth.json`). It tells
the direction of a rewrite; SocioT, by the grader, measures its size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from services.rewriter.domain import data
from services.rewriter.domain.spans import prose

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_CONTRACTION = re.compile(
    r"\b(?:\w+n't|(?:i|you|we|they|he|she|it|that|there|here|what|who)'(?:m|re|s|ll|ve|d))\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Warmth:
    """Points and words of a text."""

    points: float
    words: int

    @property
    def per_hundred(self) -> float:
        """Points per hundred words; 0 for a text without words."""
        return 100.0 * self.points / self.words if self.words else 0.0


def warmth(text: str) -> Warmth:
    """Count."""
    straight = prose(text).replace("\u2019", "'")
    low = straight.lower()
    words, phrases, weights = _words(), _phrases(), data.table("warmth.json")["weights"]
    tokens = _WORD.findall(low)
    points: float = (
        weights["phrase"] * len(phrases.findall(low))
        + weights["exclamation"] * straight.count("!")
        + weights["together"] * sum(token in words for token in tokens)
        + weights["contraction"] * len(_CONTRACTION.findall(low))
    )
    return Warmth(points, len(tokens))


@cache
def _words() -> frozenset[str]:
    return frozenset(data.table("warmth.json")["together"])


@cache
def _phrases() -> re.Pattern[str]:
    longest_first = sorted(data.table("warmth.json")["phrases"], key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")
