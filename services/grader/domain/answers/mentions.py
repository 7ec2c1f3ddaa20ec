"""Where a reply names C or W."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from services.grader.domain.answers.forms import Key
from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.reading import NONE, SENTENCE, Reading, sep_class

_ARTICLES = frozenset(("the", "a", "an", "in", "actually", "definitely", "indeed", "not"))


class Stand(IntEnum):
    """How the reply stands to a value at one place."""

    ASSERTED = 6  # given as the answer to the question
    NAMED = 5  # named without a clear claim
    GUARDED = 4  # named under an if, a comparison, an alternative, an earlier time
    UNSURE = 3  # cannot be read
    REPORTED = 2  # somebody else's belief
    REJECTED = 1  # denied
    ASIDE = 0  # asked about, denied something else, or part of another name


@dataclass(slots=True)
class Mention:
    """A place: words `start` to `end`, side C or W, the form as written, how it stands, share of the question covered."""

    start: int
    end: int
    side: str
    text: str
    stand: Stand = Stand.NAMED
    cover: float = 0.0


def find(reading: Reading, key: Key) -> list[Mention]:
    """All mentions in order, the longest form at each place; stands are NAMED, or fixed where the words are no mention."""
    low = reading.words.low
    index = key.index
    if index.keys().isdisjoint(low):
        return []
    found: list[Mention] = []
    position, count = 0, len(low)
    while position < count:
        for words, side, text in index.get(low[position], ()):
            end = position + len(words)
            if len(words) > 1 and (tuple(low[position:end]) != words or _torn(reading, position, end)):
                continue
            if _word_only(reading, position, end, words):
                continue
            found.append(Mention(position, end, side, text, _name_part(reading, key, position, end, text)))
            position = end - 1
            break
        position += 1
    return found


def _torn(reading: Reading, start: int, end: int) -> bool:
    """Whether a form's words are spread over two sentences or lines."""
    return (
        any(sep_class(reading.words.seps[i]) >= SENTENCE for i in range(start, end - 1))
        and reading.clauses[reading.clause_of[start]].sentence != reading.clauses[reading.clause_of[end - 1]].sentence
    )


def _word_only(reading: Reading, start: int, end: int, words: tuple[str, ...]) -> bool:
    """Whether a one-word form that is also a function word (US, WHO, one) stands there as that word."""
    if end - start > 1:
        return False
    low, raw = reading.words.low, reading.words.raw[start]
    word = words[0]
    if word == "one":
        before = low[start - 1] if start else ""
        after = low[end] if end < len(low) else ""
        return after in ("of", "who", "that", "which") or before in (
            "the",
            "this",
            "that",
            "no",
            "any",
            "which",
            "only",
        )
    return word in lexicon().words["stop"] and not (raw.isupper() and len(raw) > 1)


def _name_part(reading: Reading, key: Key, start: int, end: int, text: str) -> Stand:
    """NAMED; or ASIDE or UNSURE where the words belong to a longer name (Niger River, Percy Shelley) or another measure."""
    words = reading.words
    raw, low, seps = words.raw, words.low, words.seps
    if low[start].lstrip("-")[:1].isdigit() and end - start == 1:
        return _figure(reading, key, start)
    if not raw[start][0].isupper():
        return Stand.NAMED
    lists = lexicon().words
    possessive = raw[end - 1].endswith(("'s", "’s")) and not text.endswith(("'s", "’s"))
    if end < len(raw) and seps[end - 1] == " ":
        if possessive:
            return Stand.NAMED if low[end] in _ARTICLES else Stand.GUARDED
        if raw[end][0].isupper():
            if low[end] in lists["heads"]:
                return Stand.UNSURE
            if low[end] not in lists["openers"] and low[end] not in lists["stop"]:
                return Stand.ASIDE
    if start and end - start == 1 and seps[start - 1] == " " and raw[start - 1][0].isupper():
        before = low[start - 1]
        opening = start == 1 or sep_class(seps[start - 2]) >= SENTENCE
        known = before in lists["titles"] or before in lists["openers"] or before in lists["stop"]
        if not known and not (opening and before.endswith("ly")):
            return Stand.UNSURE if opening else Stand.ASIDE
    return Stand.NAMED


def _figure(reading: Reading, key: Key, at: int) -> Stand:
    """Whether a figure is of the asked measure, and no end of a range."""
    low, seps = reading.words.low, reading.words.seps
    unit = unit_after(reading, at)
    if unit and key.units and unit not in key.units:
        return Stand.UNSURE
    if unit == "percent" and "percent" not in key.units:
        return Stand.UNSURE
    for left, right in ((at - 1, at), (at, at + 1)):
        if (
            left >= 0
            and right < len(low)
            and low[left][0].isdigit()
            and low[right][0].isdigit()
            and seps[left].strip() in ("-", "–")
            and sep_class(seps[left]) == NONE
        ):
            return Stand.UNSURE
    if at and low[at - 1] in ("over", "under", "after", "than", "to", "least"):
        return Stand.GUARDED
    return Stand.NAMED


def unit_after(reading: Reading, at: int) -> str:
    """The unit family named after a figure (`212 degrees Fahrenheit`: fahrenheit); empty without one."""
    low, seps = reading.words.low, reading.words.seps
    table: dict[str, str] = lexicon().numerals["units_of_measure"]
    for place in (at + 1, at + 2):
        if place >= len(low) or sep_class(seps[place - 1]) != NONE:
            return ""
        if low[place] in table:
            return table[low[place]]
        if low[place] not in ("degrees", "degree", "square", "cubic"):
            return ""
    return ""
