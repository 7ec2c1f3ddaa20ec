"""Word lists of the checks, stems, and which sentences of two texts belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from services.rewriter.domain import data
from services.rewriter.domain.certificate.text import Token

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


def content(tokens: Iterable[Token]) -> frozenset[str]:
    """Stems of the words that carry content, and the numbers."""
    stop = words("stop")
    negation = words("negation")
    return frozenset(
        stem(token.low)
        for token in tokens
        if token.low not in stop
        and token.low not in negation
        and not token.low.endswith("n't")
        and (token.word or token.low[0].isdigit())
    )


class Sentence(NamedTuple):
    """A sentence, its content stems and its words."""

    tokens: Sequence[Token]
    content: frozenset[str]
    low: frozenset[str]


def sentences(tokens: Iterable[Sequence[Token]]) -> list[Sentence]:
    """Sentences made comparable."""
    return [Sentence(one, content(one), frozenset(token.low for token in one)) for one in tokens]


def partner(one: Sentence, others: Sequence[Sentence]) -> tuple[float, Sequence[Sentence]]:
    """The sentence, or two neighbours, that hold most of a sentence's content, and which share of it."""
    best: tuple[float, Sequence[Sentence]] = (0.0, ())
    if not one.content:
        return best
    size = len(one.content)
    shares = [len(one.content & other.content) / size for other in others]
    for place, share in enumerate(shares):
        if share > best[0]:
            best = (share, others[place : place + 1])
    for place in range(len(others) - 1):
        if min(shares[place : place + 2]) > 0.0:
            both = others[place].content | others[place + 1].content
            share = len(one.content & both) / size
            if share > best[0] + 0.1:
                best = (share, others[place : place + 2])
    return best


def shown(tokens: Sequence[Token]) -> str:
    """A sentence's first words, for reasons."""
    said = [token.text for token in tokens if token.word or token.low[0].isdigit()]
    return " ".join(said[:9]) + (" ..." if len(said) > 9 else "")
