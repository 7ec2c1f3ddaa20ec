"""From text to words: case, accents, quotes, markup, thousands separators, possessives and number words are levelled.

`low` is what is compared, `raw` what stood there (its case tells names from words), `seps` what stood after each word.
Units stay: `5 km` is the two words `5` and `km`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.numerals import fold

_LETTERS = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "′": "'", "＇": "'", "`": "'", "´": "'",
        "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "đ": "d", "Đ": "D", "ı": "i",
        "ð": "d", "þ": "th", "−": "-", "\u2011": "-", "\u2010": "-", "⁄": "/", "\ufeff": None, "\u200b": None, "\u00ad": None,
    }
)  # fmt: skip
_THIN_GROUPS = re.compile(r"(?<=\d)[\u00a0\u202f\u2009'](?=\d{3}(?!\d))")
_MARKS = re.compile(r"[\u0300-\u036f]")
_PERCENT = re.compile(r"\s*%")
_TOKEN = re.compile(
    r"([A-Za-z]\.(?:\s?[A-Za-z]\.)+(?![A-Za-z])"  # U.S.A., J. K., e.g.
    r"|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]\d)"  # 1,000
    r"|\d+(?:\.\d+)?(?:(?:st|nd|rd|th|s)(?![A-Za-z0-9]))?"  # 3.14, 4th, 1960s
    r"|[^\W\d_](?:[^\W_])*(?:'[^\W\d_]+)*)"  # words, CO2, don't
    r"([\W_]*)"
)
_SHOUTED = 2  # spaces; shorter texts may be an acronym
_DECIMAL_ZEROS = re.compile(r"\.0+$")
_LEADING_ZEROS = re.compile(r"^0+(?=\d)")


@dataclass(frozen=True, slots=True)
class Words:
    """A text as parallel lists of equal length."""

    low: list[str]
    raw: list[str]
    seps: list[str]


def level(text: str) -> str:
    """Unicode levelled: compatibility forms, quotes and dashes unified, accents off. ASCII passes through."""
    if text.isascii():
        return text.replace("`", "")
    text = _THIN_GROUPS.sub("", text.translate(_LETTERS))
    return _MARKS.sub("", unicodedata.normalize("NFKD", text))


def split(text: str) -> Words:
    """Words of a text, number words and dates folded to figures."""
    text = level(text)
    if text.isupper() and text.count(" ") > _SHOUTED:
        text = text.lower()  # where all is shouted, capitals tell no names
    if "%" in text:
        text = _PERCENT.sub(" percent", text)
    found = _TOKEN.findall(text)
    raw, seps = [word for word, _ in found], [sep for _, sep in found]
    low = list(map(_word, raw))
    if "-" in text and found:
        _sign(low, seps, text[: text.find(raw[0])])
    fold(low, raw, seps)
    return Words(low, raw, seps)


def _sign(low: list[str], seps: list[str], before: str) -> None:
    """Give a figure its minus: `-4`, `(-4)`; not the dash of `1503-1519` or of a list."""
    for index, word in enumerate(low):
        gap = seps[index - 1] if index else before
        if (
            gap.endswith("-")
            and word[0].isdigit()
            and (gap[-2:-1] in (" ", "(", "=", "\n") or (gap == "-" and not index))
        ):
            low[index] = "-" + word


def form(text: str) -> tuple[str, ...]:
    """An accepted form as the words to look for, without a leading article."""
    low = split(text).low
    start = 0
    while start < len(low) - 1 and low[start] in _articles():
        start += 1
    return tuple(low[start:])


class _Memo(dict[str, str]):
    """Words seen before; bounded, since replies are made by others."""

    def __missing__(self, raw: str) -> str:
        if len(self) > 100_000:
            self.clear()
        value = self[raw] = _level_word(raw)
        return value


def _level_word(raw: str) -> str:
    low = raw.lower()
    if low[0].isdigit():
        low = low.replace(",", "")
        return _LEADING_ZEROS.sub("", _DECIMAL_ZEROS.sub("", low))
    if "." in low:
        return low.replace(".", "").replace(" ", "")
    if low.endswith("'s") and low not in lexicon().words["contractions"]:
        return low[:-2]
    return low


_word = _Memo().__getitem__


@cache
def _articles() -> frozenset[str]:
    return lexicon().words["articles"]
