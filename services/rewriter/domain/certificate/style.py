"""The lexical warmth moved in the direction that the style names."""

from __future__ import annotations

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.warmth import warmth

_LEAST_POINTS = 1.0


def check(case: Case) -> str:
    """Warmer: at least one more warm point, and more per hundred words. Colder: fewer, or none that could be left out."""
    if case.style.direction == "same":
        return ""
    before, after = warmth(case.exchange.reply), warmth(case.text)
    shift = after.per_hundred - before.per_hundred
    moved = f"{before.per_hundred:.1f} to {after.per_hundred:.1f} points per hundred words"
    if case.style.direction == "warmer":
        if after.points - before.points < _LEAST_POINTS or shift <= 0:
            return f"not warmer: {moved}"
    elif shift >= 0 and after.points > 0:
        return f"not colder: {moved}"
    return ""
