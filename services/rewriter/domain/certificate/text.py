"""A text taken apart: prose, sentences, words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from services.rewriter.domain.certificate.words import content_stem
from services.rewriter.domain.spans import prose, without_code

_TOKEN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|\d[\d.,]*\d|\d|[.!?;:,()\n\u2026\u2014\u2013]")
_SENTENCE_END = frozenset(".!?\n\u2026")
_SHOWN = 5


class Token(NamedTuple):
    """A word, number or mark.

    Attributes:
        low: Its lower-case form.
        first: Whether it begins a sentence.
        sentence: Number of its sentence.
        word: Whether it is made of letters.
        content: Stem of a word that carries content, or of a number; else empty.
    """

    text: str
    low: str
    first: bool
    sentence: int
    word: bool
    content: str


@dataclass(frozen=True)
class Text:
    """One text; everything is computed when it is first asked for."""

    raw: str

    @cached_property
    def straight(self) -> str:
        """With straight apostrophes."""
        return self.raw.replace("\u2019", "'").replace("\u2018", "'")

    @cached_property
    def outside_code(self) -> str:
        """Without code."""
        return without_code(self.straight)

    @cached_property
    def prose(self) -> str:
        """Without code, equations and links."""
        return prose(self.straight)

    @cached_property
    def low(self) -> str:
        """The prose in lower case, spaces single."""
        return " ".join(self.prose.lower().split())

    @cached_property
    def tokens(self) -> list[Token]:
        """Of the prose."""
        found: list[Token] = []
        first, sentence = True, 0
        for text in _TOKEN.findall(self.prose):
            low = text.lower()
            if text in _SENTENCE_END:
                sentence += not first
                first = True
                found.append(Token(text, low, False, sentence, False, ""))
                continue
            first = first or text == ":"
            word = low[0].isalpha()
            found.append(Token(text, low, first, sentence, word, content_stem(low)))
            if word or low[0].isdigit():
                first = False
        return found

    @cached_property
    def sentences(self) -> list[list[Token]]:
        """Tokens by sentence, without marks that end one."""
        grouped: dict[int, list[Token]] = {}
        for token in self.tokens:
            if token.text not in _SENTENCE_END:
                grouped.setdefault(token.sentence, []).append(token)
        return [grouped[number] for number in sorted(grouped)]

    @cached_property
    def words(self) -> list[str]:
        """Lower-case words and numbers of the prose."""
        return [token.low for token in self.tokens if token.word or token.low[0].isdigit()]

    @cached_property
    def word_set(self) -> frozenset[str]:
        """The words, and the parts of those with a hyphen."""
        found = set(self.words)
        for word in self.words:
            if "-" in word:
                found.update(word.split("-"))
        return frozenset(found)


def listed(items: Iterable[str], verb: str) -> str:
    """`lost: a, b, c and 2 more`, each shortened."""
    ordered = list(dict.fromkeys(items))
    if not ordered:
        return ""
    shown = ", ".join(" ".join(item.split())[:60] for item in ordered[:_SHOWN])
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return f"{verb}: {shown}{more}"


def joined(*reasons: str) -> str:
    """Several reasons as one."""
    return "; ".join(reason for reason in reasons if reason)
