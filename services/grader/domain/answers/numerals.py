"""Number words to figures, dates to one order: `two hundred and six` is 206, `July 4th, 1776` is `4 july 1776`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from services.grader.domain.answers.lexicon import lexicon

_JOINS = (" ", "-")
_DATE_JOINS = (" ", ", ", ". ")


@dataclass(frozen=True, slots=True)
class _Tables:
    units: dict[str, int]
    tens: dict[str, int]
    magnitudes: dict[str, int]
    ordinals: dict[str, int]
    months: dict[str, str]
    triggers: frozenset[str]


@cache
def _tables() -> _Tables:
    data = lexicon().numerals
    return _Tables(
        units=data["units"],
        tens=data["tens"],
        magnitudes=data["magnitudes"],
        ordinals=data["ordinals"],
        months=data["months"],
        triggers=frozenset(
            word for name in ("units", "tens", "magnitudes", "ordinals", "months") for word in data[name]
        ),
    )


def fold(low: list[str], raw: list[str], seps: list[str]) -> None:
    """Rewrite the three lists in place. Cheap where there is nothing to fold."""
    tables = _tables()
    if tables.triggers.isdisjoint(low):
        return
    index = 0
    while index < len(low):
        length, value = _number(low, seps, index, tables)
        if length:
            _replace(low, raw, seps, index, length, value)
        index += 1
    index = 0
    while index < len(low):
        if low[index] in tables.months:
            index = _date(low, raw, seps, index, tables.months[low[index]])
        index += 1


def _replace(low: list[str], raw: list[str], seps: list[str], index: int, length: int, value: str) -> None:
    if length == 1:
        low[index] = value
        return
    end = index + length
    raw[index] = "".join(raw[i] + seps[i] for i in range(index, end - 1)) + raw[end - 1]
    seps[index] = seps[end - 1]
    low[index] = value
    del low[index + 1 : end], raw[index + 1 : end], seps[index + 1 : end]


def _number(low: list[str], seps: list[str], start: int, tables: _Tables) -> tuple[int, str]:
    """Length in words of the number that starts here, and its figures; length 0: none. A lone `one` stays a word."""
    word = low[start]
    if word in tables.ordinals:
        return 1, _ordinal(tables.ordinals[word])
    total = group = 0.0
    last = 0  # size of the last part: a smaller one may follow it
    index = start
    value: float
    while index < len(low):
        if index > start and seps[index - 1] not in _JOINS:
            break
        word = low[index]
        if word in tables.units or (word == "one" and _goes_on(low, seps, index, tables, opened=last > 0)):
            value = tables.units.get(word, 1)
            if 10 <= group < 20 and last == 1 and value >= 10:  # nineteen fourteen
                group, last = group * 100 + value, 1
            elif last in (0, 100, 1000, 10**6, 10**9, 10**12) or (last == 10 and value < 10):
                group, last = group + value, 1
            else:
                break
        elif word in tables.tens:
            value = tables.tens[word]
            if 10 <= group <= 20 and last in (1, 10):  # nineteen eighty
                group, last = group * 100 + value, 10
            elif last in (0, 100, 1000, 10**6, 10**9, 10**12):
                group, last = group + value, 10
            else:
                break
        elif word in tables.magnitudes:
            size = tables.magnitudes[word]
            if last == 0:
                break
            if size == 100:
                group, last = group * 100, 100
            else:
                total, group, last = total + group * size, 0.0, size
        elif last == 0 and _figures(word) and index + 1 < len(low) and low[index + 1] in tables.magnitudes:
            group, last = float(word), 1
        elif word == "a" and index == start and index + 1 < len(low) and low[index + 1] in tables.magnitudes:
            group, last = 1.0, 1
        elif word in tables.ordinals and last in (10, 100) and tables.ordinals[word] < 10:
            return index + 1 - start, _ordinal(int(total + group) + tables.ordinals[word])
        elif word == "and" and last in (100, 1000) and _continues(low, seps, index, tables):
            pass
        else:
            break
        index += 1
    if last == 0:
        return 0, ""
    return index - start, _plain(total + group)


def _goes_on(low: list[str], seps: list[str], index: int, tables: _Tables, *, opened: bool) -> bool:
    """Whether `one` is part of a longer number: twenty-one, one hundred."""
    if opened:
        return True
    return index + 1 < len(low) and seps[index] in _JOINS and low[index + 1] in tables.magnitudes


def _continues(low: list[str], seps: list[str], index: int, tables: _Tables) -> bool:
    return (
        index + 1 < len(low)
        and seps[index] in _JOINS
        and (low[index + 1] in tables.units or low[index + 1] in tables.tens or low[index + 1] == "one")
    )


def _figures(word: str) -> bool:
    return word[0].isdigit() and word.replace(".", "", 1).isdigit()


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 6))


def _ordinal(value: int) -> str:
    suffix = "th" if 10 <= value % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{suffix}"


def _date(low: list[str], raw: list[str], seps: list[str], at: int, month: str) -> int:
    """Bring the date around the month at `at` into the order day, month, year. Returns the index of its last word."""
    before = at - 1
    if before >= 1 and low[before] == "of" and seps[before - 1] == " ":
        before -= 1
    day = _day(low[before]) if before >= 0 and all(seps[i] == " " for i in range(before, at)) else ""
    end = at + 1
    if day:
        start = before
    else:
        start = at
        if at + 1 < len(low) and seps[at] in _DATE_JOINS:
            day = _day(low[at + 1])
            if not day and low[at + 1] == "the" and at + 2 < len(low) and seps[at + 1] == " ":
                day, end = _day(low[at + 2]), at + 2
            end = end + 1 if day else at + 1
    year = ""
    if end < len(low) and seps[end - 1] in _DATE_JOINS and _year(low[end]):
        year = low[end]
        end += 1
    if not day and not year:
        return at
    parts = [part for part in (day, month, year) if part]
    shown = "".join(raw[i] + seps[i] for i in range(start, end - 1)) + raw[end - 1]
    after = seps[end - 1]
    low[start:end] = parts
    raw[start:end] = [shown, *parts[1:]]
    seps[start:end] = [*([" "] * (len(parts) - 1)), after]
    return start + len(parts) - 1


def _day(word: str) -> str:
    figures = word[:-2] if word[-2:] in ("st", "nd", "rd", "th") else word
    return figures if figures.isdigit() and 1 <= int(figures) <= 31 else ""


def _year(word: str) -> bool:
    return word.isdigit() and 3 <= len(word) <= 4
