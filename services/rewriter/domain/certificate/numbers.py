"""Every number and date survives, with what it counts; none is added that the conversation does not hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import Text, Token, joined, listed

_NUMBER = re.compile(
    r"(?<![\w.])[-\u2212]?\d[\d,]*(?:\.\d+)*(?:\s?%|[\u00b0]|(?:st|nd|rd|th)\b)?|(?<=\w)\d+(?:\.\d+)*|\d+(?=[A-Za-z])"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)*(?:st|nd|rd|th)?|\d{1,3}(?:,\d{2})+,\d{3}")
_LIST_MARK = re.compile(r"^[ \t]*(?:\*\*)?(?:\(?\d{1,2}[.)])(?=\s|\*)", re.MULTILINE | re.IGNORECASE)
_WORDS = {
    word: str(value)
    for value, words in {
        2: "two both twice double pair couple",
        3: "three thrice triple trio",
        4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve dozen",
        13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen", 17: "seventeen", 18: "eighteen", 19: "nineteen",
        20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety",
        100: "hundred hundreds", 1000: "thousand thousands", 1000000: "million millions", 1000000000: "billion billions",
    }.items()
    for word in words.split()
}  # fmt: skip
# Words that stand for a number in one place and for something else in another: their loss proves nothing.
_LOOSE = frozenset(
    ["both", "twice", "double", "pair", "couple", "triple", "trio", "hundreds", "thousands", "millions", "billions"]
)
_REACH = 4
# Part of a date, not what the date is about.
_MONTHS = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "oct",
        "nov",
        "dec",
    ]
)
_WORD_NUMBER = re.compile(r"\b(?:" + "|".join(_WORDS) + r")\b", re.IGNORECASE)


def check(case: Case) -> str:
    """See the module."""
    before, after = _digits(case.before), _digits(case.after)
    words_before, words_after = _words(case.before), _words(case.after)
    known = before + words_before + _digits(case.said) + _words(case.said)
    there = after + words_after
    written = before + _words(case.before, loose=False)
    lost = [number for number in written if number not in there]
    added = [number for number in after if number not in known]
    swapped: list[str] = []
    if not lost and not added:
        fewer = [n for n in before if there[n] < before[n]]
        more = [n for n in before if after[n] > before[n] + words_before[n]]
        swapped = [f"{a} became {b}" for a, b in zip(fewer, more, strict=False)] or _moved(case)
    return joined(listed(lost, "lost"), listed(added, "added"), listed(swapped, "changed"))


def _digits(text: Text) -> Counter[str]:
    plain = _LIST_MARK.sub(" ", text.outside_code)
    return Counter(_normal(match[0]) for match in _NUMBER.finditer(plain))


def _words(text: Text, *, loose: bool = True) -> Counter[str]:
    """Numbers written as words."""
    words = (match[0].lower() for match in _WORD_NUMBER.finditer(text.prose))
    return Counter(_WORDS[word] for word in words if loose or word not in _LOOSE)


def _normal(number: str) -> str:
    text = number.replace(",", "") if _THOUSANDS.fullmatch(number.strip("-\u2212% ")) else number.rstrip(",")
    text = text.replace("\u2212", "-").replace(" ", "")
    text = re.sub(r"(?:st|nd|rd|th)\Z", "", text)
    return re.sub(r"(\.\d*?)0+(?=%?\Z)", r"\1", text).replace(".%", "%").rstrip(".")


def _moved(case: Case) -> list[str]:
    """Numbers that took each other's places: each stood beside words of its own, and now stands beside the other's."""
    before, after = _neighbours(case.before), _neighbours(case.after)
    both = [n for n in before if n in after and before[n] and after[n] and not before[n] & after[n]]
    return [
        f"{one} took the place of {other}"
        for place, one in enumerate(both)
        for other in both[place + 1 :]
        if _swapped(before[one], before[other], after[one], after[other])
    ]


def _swapped(one: set[str], other: set[str], one_now: set[str], other_now: set[str]) -> bool:
    return not one & other and bool(one & other_now) and bool(other & one_now)


def _neighbours(text: Text) -> dict[str, set[str]]:
    """The content words right before and after each number, in its clause."""
    found: dict[str, set[str]] = {}
    tokens = text.tokens
    for place, token in enumerate(tokens):
        if token.low[0].isdigit():
            around = found.setdefault(_normal(token.low), set())
            around |= _nearest(tokens[max(place - _REACH, 0) : place][::-1]) | _nearest(
                tokens[place + 1 : place + 1 + _REACH]
            )
    return found


def _nearest(tokens: Sequence[Token]) -> frozenset[str]:
    for token in tokens:
        if not token.word or token.low in {"and", "or", "but"}:
            return frozenset()
        if token.content and token.low not in _MONTHS:
            return frozenset([token.content])
    return frozenset()
