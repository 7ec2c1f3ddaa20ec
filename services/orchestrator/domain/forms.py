"""Answers compared as people would: case, accents, articles and punctuation aside."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from services.orchestrator.domain import datafiles

_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_NUMBER = re.compile(r"[-+−]?[$£€]?\d[\d,]*(?:\.\d+)?(?:\s?(?:%|percent|per cent))?")
_VERB_ENDINGS = re.compile(r"[a-z]+(?:ed|es|s)")
POLAR = {"yes": "yes", "no": "no", "true": "true", "false": "false"}
OPPOSITE = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


@lru_cache(maxsize=65_536)
def tokens(text: str) -> tuple[str, ...]:
    """Lower-case words and numbers without accents and articles."""
    flat = text
    if not text.isascii():
        flat = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    flat = flat.casefold().replace("’", "'")
    words = _WORD.findall(flat.replace("'s", "s").replace("'", ""))
    return tuple(word for word in words if word not in _ARTICLES) or tuple(words)


def same(left: str, right: str) -> bool:
    """Whether two answers say the same thing, by their tokens (by their characters where there are none)."""
    one, other = tokens(left), tokens(right)
    return one == other if one or other else left.strip() == right.strip()


@lru_cache(maxsize=65_536)
def spaced(text: str) -> str:
    """The tokens with a space between and around them, so that `in` finds whole words only."""
    return f" {' '.join(tokens(text))} "


def contains(outer: str, inner: str) -> bool:
    """Whether the tokens of `inner` stand in `outer`, one after another."""
    part = spaced(inner)
    return bool(part.strip()) and part in spaced(outer)


def overlaps(value: str, others: Iterable[str]) -> bool:
    """Whether a value is one of the others, a part of one, or holds one."""
    return any(same(value, other) or contains(other, value) or contains(value, other) for other in others)


def is_number(text: str) -> bool:
    """Digits (with sign, commas, currency or per cent), or a number word."""
    return bool(_NUMBER.fullmatch(text)) or (
        bool(tokens(text)) and all(word in _lists("number_words") for word in tokens(text))
    )


@lru_cache(maxsize=1024)
def is_sentence(text: str, *, loosely: bool = False) -> bool:
    """Whether an answer reads as a sentence of its own: it begins with a pronoun or the like, or has a known verb.

    Args:
        text: The answer.
        loosely: Take a word in -s or -ed in the middle for a verb, which plurals are too: for data made of sentences.
    """
    words = text.replace("’", "'").lower().strip(" .").split()
    if len(words) < 3:
        return len(words) == 2 and words[0] in _lists("subjects")
    if words[0] in _lists("not_sentences"):
        return False
    bare = [word.strip('",;:()') for word in words]
    if words[0] in _lists("subjects") or any(word in _lists("finite_verbs") for word in bare[1:]):
        return True
    inner = text.split()[1:-1]
    return loosely and len(words) >= 4 and any(word.islower() and _VERB_ENDINGS.fullmatch(word) for word in inner)


def polarity(text: str) -> str:
    """`yes` or `no` when a text is that word or begins with it and a comma or full stop; else empty."""
    match = re.match(r"(yes|no)(?=[,.;:!]|$)", text.strip().lower())
    return match[1] if match else ""


def without_polarity(text: str) -> str:
    """A sentence without its opening `Yes,` or `No,`."""
    return re.sub(r"^(yes|no)[,.;:!]\s*", "", text.strip(), flags=re.IGNORECASE)


def infer_kind(gold: Sequence[str], false_answers: Sequence[str], options: bool) -> str:
    """The kind of an item that does not say it: by its options, then by the shape of its answers."""
    if options:
        return "multiple_choice"
    values = [*gold[:1], *false_answers[:1]]
    if values and all(value.lower().rstrip(".") in POLAR for value in values):
        return "yes_no"
    if values and all(is_number(value) for value in values):
        return "number"
    if values and all(is_sentence(value) for value in values):
        return "proposition"
    return "short_answer"


@cache
def _lists(name: str) -> frozenset[str]:
    return frozenset(json.loads(datafiles.read("answer_forms.json"))[name])
