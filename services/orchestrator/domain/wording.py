"""Small rules that make sentences come out right: spaces, full stops, capitals, quotation marks.

An item is asked in many cells, one after the other, with the same question and values: the caches see each once.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

_GAPS = re.compile(r"(?<=\S)[^\S\n]{2,}(?=\S)|[\t\u00a0\u2007\u202f]")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_TRAILING = re.compile(r"[^\S\n]+(?=\n|$)")
_ASKS = re.compile(
    r"\b(who|whom|whose|what|when|where|why|how|which|is|are|was|were|do|does|did|can|could|should|would|will|has|have)\b",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.?!:;…。？！][\"'”’)\]]*$")
_FIRST_WORD = re.compile(r"[A-Z][a-z'’-]*(?![\w.])")


@lru_cache(maxsize=1024)
def tidy(text: str) -> str:
    """Text with one space between words, none at line ends and no invisible marks; line breaks and indentation stay."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _TRAILING.sub("", _GAPS.sub(" ", text)).strip()


def one_line(text: str) -> str:
    """Text with every run of white space as one space."""
    return " ".join(text.split())


@lru_cache(maxsize=1024)
def finished(question: str) -> str:
    """A question with a closing mark, so that a sentence may follow it."""
    if _ENDS.search(question):
        return question
    first = " ".join(question.split()[:2])
    return question + ("?" if _ASKS.match(first) or _ASKS.search(question.rsplit(",", 1)[-1][:16]) else ".")


@lru_cache(maxsize=1024)
def inside(value: str) -> str:
    """A value as it stands before a full stop: its own stop taken off, `?` and `!` kept inside quotation marks."""
    value = one_line(value)
    if value.endswith(("?", "!")):
        return f'"{value}"'
    if value.endswith(('."', ".”")):
        return value[:-2].rstrip(".") + value[-1]
    return value.rstrip(". ") or value


def lowered(sentence: str, openers: Collection[str], common: Collection[str] = ()) -> str:
    """A sentence with a small first letter, unless it may begin with a name.

    Args:
        sentence: What is to stand after `I think that`.
        openers: Words that begin sentences and no names, in small letters.
        common: Further words that are no names; one of these (or its plural) is made small only where no capital and
            no digit follows, as in `Area 51`.
    """
    match = _FIRST_WORD.match(sentence)
    if not match or match.group() == "I" or match.group().startswith(("I'", "I’")):
        return sentence
    word = re.split("['’]", match.group().lower())[0]
    plain_next = re.match(r"\s+[a-z]|,?\s*$|,\s", sentence[match.end() :])
    if word in openers or (plain_next and (word in common or word.removesuffix("s") in common)):
        return sentence[0].lower() + sentence[1:]
    return sentence
