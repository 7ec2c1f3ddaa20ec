"""Word lists of the checks, and stems."""

from __future__ import annotations

from functools import cache, lru_cache

from services.rewriter.domain import data

_ENDINGS = (
    ("'s", ""),
    ("ies", "y"),
    ("ied", "y"),
    ("ing", ""),
    ("ed", ""),
    ("es", ""),
    ("s", ""),
    ("ly", ""),
    ("e", ""),
)


@cache
def words(name: str) -> frozenset[str]:
    """A word list of `data/certificate.json`."""
    return frozenset(data.table("certificate.json")[name].split())


@cache
def phrases(name: str) -> tuple[str, ...]:
    """A phrase list of `data/certificate.json`."""
    return tuple(data.table("certificate.json")[name])


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A crude stem: equal for most forms of a word."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 4 else word


def denies(low: str) -> bool:
    """Whether a word is a denial."""
    return low in words("negation") or low.endswith("n't")


@lru_cache(maxsize=65_536)
def content_stem(low: str) -> str:
    """The stem of a word that carries content, or of a number; empty for others and for marks."""
    if low in words("stop") or denies(low) or not (low[0].isalpha() or low[0].isdigit()):
        return ""
    return stem(low)
