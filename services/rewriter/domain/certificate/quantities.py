"""The quantities of a text: numbers in digits and words, ordinals and fractions, each with its unit and with what it counts.

A number word carries content where a noun or a unit follows it (`one tablet`, `the second person`, `half of the voters`), and none
in `no one`, `one of them`, `one another`, `at first`, `for one`, `the second you ask`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from services.rewriter.domain.certificate.words import content_stem, phrases, words

NUMBER = r"(?<![\w.])[-\u2212]?\d[\d,]*(?:\.\d+)*(?:/\d+)*(?:\s?[%\u00b0]|(?:st|nd|rd|th)\b)?|(?<=\w)\d+(?:\.\d+)*|\d+(?=[A-Za-z])"
_ITEM = re.compile(
    rf"(?P<number>{NUMBER})|(?P<money>[$\u20ac\u00a3\u00a5\u20b9])|(?P<word>%|[ap]\.m\.|[^\W\d_]+(?:'[^\W\d_]+)*)|(?P<mark>[.!?;:,()\n\u2026\u2014\u2013])",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)*(?:st|nd|rd|th)?|\d{1,3}(?:,\d{2})+,\d{3}")
_CARDINALS = {
    word: value
    for value, words in {
        1: "one once", 2: "two both twice double pair couple", 3: "three thrice triple trio",
        4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve dozen",
        13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen", 17: "seventeen", 18: "eighteen", 19: "nineteen",
        20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety",
        100: "hundred hundreds", 1000: "thousand thousands", 1000000: "million millions", 1000000000: "billion billions",
    }.items()
    for word in words.split()
}  # fmt: skip
_ORDINALS = {
    word: place
    for place, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 1
    )
}
_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourths": 4, "fifth": 5, "fifths": 5, "tenth": 10, "tenths": 10}  # fmt: skip
_REACH = 6
_NOUNS = 2
_DEGREES = frozenset(["degree", "degrees"])
_SCALES = frozenset(["hundred", "thousand", "million", "billion"])
_GLYPHS = str.maketrans({"\u00bd": "1/2", "\u00bc": "1/4", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"})
# The same share, as it may be written otherwise.
_SHARES = {"1/2": ("0.5", "50%", "50"), "1/4": ("0.25", "25%", "25"), "3/4": ("0.75", "75%", "75")}
_MINUTES = {"1/2": "30", "1/4": "15", "3/4": "45"}


class Quantity(NamedTuple):
    """A number as it stands in a text.

    Attributes:
        value: In digits; `1/2`; `#1` for an ordinal.
        same: Other ways to write it: `half an hour` is 30 minutes.
        digits: Whether it is written in digits.
        loose: Whether its word may go without a number being lost.
        units: Units and currencies right beside it, each by one name.
        counted: Stems of what it counts.
    """

    value: str
    same: frozenset[str] = frozenset()
    digits: bool = False
    loose: bool = False
    units: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """Every way to write its value."""
        return self.same | {self.value}

    @property
    def ordinal(self) -> bool:
        """Whether it is a place, not a number."""
        return self.value.startswith("#")

    @property
    def fraction(self) -> bool:
        """Whether it is a share in words."""
        return not self.digits and "/" in self.value


class _Item(NamedTuple):
    kind: str
    low: str


def quantities(prose: str) -> list[Quantity]:
    """In order."""
    text = prose.translate(_GLYPHS)
    items = [_Item(match.lastgroup or "", match[0].lower()) for match in _ITEM.finditer(text)]
    found: list[Quantity] = []
    place = 0
    while place < len(items):
        quantity, place = _at(items, place)
        if quantity is not None:
            found.append(quantity)
    return found


def plain(number: str) -> str:
    """A number in digits in one spelling: without separators, percent, degree and ordinal marks."""
    text = number.replace(",", "") if _THOUSANDS.fullmatch(number.strip("-\u2212% \u00b0")) else number.rstrip(",")
    text = text.replace("\u2212", "-").strip("% \u00b0")
    text = re.sub(r"(?:st|nd|rd|th)\Z", "", text)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _at(items: Sequence[_Item], place: int) -> tuple[Quantity | None, int]:
    """The quantity that begins at a place, and the place after it."""
    item = items[place]
    if item.kind == "number":
        return _digits(items, place), place + 1
    if item.kind != "word":
        return None, place + 1
    for read in (_fraction, _cardinal, _ordinal):
        quantity, end = read(items, place)
        if quantity is not None:
            return quantity, end
    return None, place + 1


def _digits(items: Sequence[_Item], place: int) -> Quantity:
    low = items[place].low
    value = ("#" if low[-2:] in {"st", "nd", "rd", "th"} else "") + plain(low)
    money = _unit_names()[items[place - 1].low] if place and items[place - 1].kind == "money" else ""
    percent = "percent" if low.endswith("%") else ""
    return Quantity(
        value,
        digits=True,
        units=_units(items, place + 1) | {unit for unit in (money, percent) if unit},
        counted=_counted(items, place + 1),
    )


def _fraction(items: Sequence[_Item], place: int) -> tuple[Quantity | None, int]:
    low = items[place].low
    above, part = 1, place
    if low in {"a", "an"} or _CARDINALS.get(low, 20) < 10:
        above, part = _CARDINALS.get(low, 1), place + 1
    name = items[part].low if part < len(items) else ""
    sure = name.endswith("s") or name in {"half", "quarter"} or low == "one" or _low(items, part + 1) == "of"
    if name not in _PARTS or not sure or (part == place and name != "half"):
        return None, place
    value = f"{above}/{_PARTS[name]}"
    counted = _counted(items, part + 1)
    same = frozenset(_SHARES.get(value, ()))
    if "hour" in counted and value in _MINUTES:
        same |= {_MINUTES[value]}
    return Quantity(value, same, units=_units(items, part + 1, past=words("between_number")), counted=counted), part + 1


def _cardinal(items: Sequence[_Item], place: int) -> tuple[Quantity | None, int]:
    low = items[place].low
    if low not in _CARDINALS:
        return None, place
    value, end = _CARDINALS[low], place + 1
    if 20 <= value < 100 and 1 <= _CARDINALS.get(_low(items, end), 10) < 10:
        value, end = value + _CARDINALS[items[end].low], end + 1
    counted, units = _counted(items, end), _units(items, end)
    if low == "one":
        direct = end < len(items) and items[end].kind == "word" and content_stem(items[end].low)
        counted = counted if direct and _low(items, place - 1) not in words("before_one") else frozenset()
        units = frozenset()
    return Quantity(str(value), loose=low in words("loose_numbers"), units=units, counted=counted), end


def _ordinal(items: Sequence[_Item], place: int) -> tuple[Quantity | None, int]:
    low = items[place].low
    if low not in _ORDINALS or _low(items, place - 1) not in words("determiners"):
        return None, place
    counted = _counted(items, place + 1)
    return Quantity(f"#{_ORDINALS[low]}", loose=True, counted=counted), place + 1


def _low(items: Sequence[_Item], place: int) -> str:
    return items[place].low if 0 <= place < len(items) else ""


def _units(items: Sequence[_Item], place: int, past: frozenset[str] = frozenset()) -> frozenset[str]:
    """The unit at a place, also behind `million` or `degrees`."""
    found: set[str] = set()
    for at in range(place, place + _REACH):
        low = _low(items, at)
        if low in _SCALES:
            found.add(low)
        elif low not in past and low not in _DEGREES:
            letter = low in {"c", "f"} and not (
                _low(items, at - 1) in _DEGREES or _low(items, at - 1).endswith("\u00b0")
            )
            unit = "percent" if low == "per" and _low(items, at + 1) == "cent" else _unit_names().get(low, "")
            return frozenset(found | {unit} if unit and not letter else found)
    return frozenset(found)


@cache
def _unit_names() -> dict[str, str]:
    """A unit's first name by each of its names."""
    return {name: names.split()[0] for names in phrases("units") for name in names.split()}


def _counted(items: Sequence[_Item], place: int) -> frozenset[str]:
    """Stems of the first content words from a place on, in its clause."""
    return frozenset(_nouns(items, place))


def _nouns(items: Sequence[_Item], place: int) -> Iterator[str]:
    count = 0
    for item in items[place : place + _REACH]:
        stem = content_stem(item.low) if item.kind == "word" and item.low not in _CARDINALS and item.low != "%" else ""
        skipped = item.low in words("between_number") or item.low in _CARDINALS
        if item.kind != "word" or (not skipped and not stem):
            return
        if stem and not skipped:
            yield stem
            count += 1
            if count == _NOUNS:
                return
        elif count:
            return
