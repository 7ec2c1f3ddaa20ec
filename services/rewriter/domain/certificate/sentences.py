"""Which sentences of two texts belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.rewriter.domain.certificate.text import Token

# A rewrite keeps the order: so many sentences before and after the place where one should stand are searched.
_WINDOW = 40


class Sentence(NamedTuple):
    """A sentence, its place in the text (0 to 1), its content stems and its words."""

    place: float
    tokens: Sequence[Token]
    content: frozenset[str]
    low: frozenset[str]


def content(tokens: Iterable[Token]) -> frozenset[str]:
    """Stems of the words that carry content, and the numbers."""
    return frozenset(token.content for token in tokens if token.content)


def sentences(tokens: Iterable[Sequence[Token]]) -> list[Sentence]:
    """Sentences made comparable."""
    whole = list(tokens)
    return [
        Sentence(number / len(whole), one, content(one), frozenset(token.low for token in one))
        for number, one in enumerate(whole)
    ]


def partner(one: Sentence, others: Sequence[Sentence]) -> tuple[float, Sequence[Sentence]]:
    """The sentence, or two neighbours, that hold most of a sentence's content, and which share of it."""
    best: tuple[float, Sequence[Sentence]] = (0.0, ())
    if not one.content:
        return best
    size = len(one.content)
    center = int(one.place * len(others))
    others = others[max(center - _WINDOW, 0) : center + _WINDOW + 1]
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
    said = [token.text for token in tokens if token.text[0].isalnum()]
    return " ".join(said[:9]) + (" ..." if len(said) > 9 else "")
