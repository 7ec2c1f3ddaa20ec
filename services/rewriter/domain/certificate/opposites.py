"""Words and their opposites by prefix or suffix: `safe` and `unsafe`, `harmless` and `harmful`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from services.rewriter.domain.certificate.words import content_stem, words

_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "mis")
_LEAST = 4


class Polarity(NamedTuple):
    """How often a stem stands in all, how often in the reach of a denial, and how often right behind one."""

    total: Counter[str]
    denied: Counter[str]
    first: Counter[str]

    def plainly(self, stem: str) -> int:
        """How often it stands outside the reach of a denial."""
        return self.total[stem] - self.denied[stem]


def turned(lows: Iterable[str], was: Polarity, now: Polarity) -> list[str]:
    """Words that became their opposites. `not safe` for `unsafe` is none.

    Args:
        lows: The words of both texts.
        was: Of the reply.
        now: Of the rewrite.
    """
    found = []
    for word, base in sorted(_pairs(lows)):
        if _became(word, base, was, now):
            found.append(f"{word} became {base}")
        elif _became(base, word, was, now) or _twice_denied(base, word, was, now):
            found.append(f"{base} became {word}")
    return found


def _became(one: str, other: str, was: Polarity, now: Polarity) -> bool:
    a, b = content_stem(one), content_stem(other)
    fewer = now.plainly(a) < was.plainly(a) and now.total[a] < was.total[a]
    more = now.plainly(b) > was.plainly(b) and now.denied[b] <= was.denied[b]
    return bool(a and b) and a != b and fewer and more


def _twice_denied(base: str, word: str, was: Polarity, now: Polarity) -> bool:
    """`not impossible` for `not possible`."""
    a, b = content_stem(base), content_stem(word)
    return bool(a and b) and a != b and now.denied[a] < was.denied[a] and now.denied[b] > was.denied[b]


def _pairs(lows: Iterable[str]) -> set[tuple[str, str]]:
    """(Word, opposite), each made from a word that there is."""
    return {(low, other) for low in lows if low not in words("no_prefix") for other in _opposites(low)}


def _opposites(low: str) -> Iterator[str]:
    for prefix in _PREFIXES:
        rest = low.removeprefix(prefix).lstrip("-")
        if rest != low and len(rest) >= _LEAST:
            yield rest
    if low.endswith("less"):
        yield f"{low.removesuffix('less')}ful"
