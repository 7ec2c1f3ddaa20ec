"""The lexical warmth moved in the direction that the style names."""

from __future__ import annotations

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.warmth import warmth

_LEAST_POINTS = 1.0
# In a few words a single one weighs much: so dense a text is warm, whatever the share was before.
_WARM = 10.0
# Four in five replies of assistants lie below: nothing is left to take away.
_NEUTRAL = 2.0


def check(case: Case) -> str:
    """Warmer: at least one more warm point, and more per hundred words. Colder: fewer, or as few as a neutral text has."""
    if case.style.direction == "same":
        return ""
    before, after = warmth(case.exchange.reply), warmth(case.text)
    shift = after.per_hundred - before.per_hundred
    moved = f"{before.per_hundred:.1f} to {after.per_hundred:.1f} points per hundred words"
    if case.style.direction == "warmer":
        if after.points - before.points < _LEAST_POINTS or (shift <= 0 and after.per_hundred < _WARM):
            return f"not warmer: {moved}"
    elif shift > 0 or (shift == 0 and after.per_hundred > _NEUTRAL):
        return f"not colder: {moved}"
    return ""
