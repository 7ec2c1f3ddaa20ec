"""Every number and date survives, with what it counts; none is added that the conversation does not hold."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.quantities import NUMBER, Quantity, plain, quantities
from services.rewriter.domain.certificate.text import Text, Token, joined, listed
from services.rewriter.domain.certificate.words import content_stem

_NUMBER = re.compile(NUMBER)
_LIST_MARK = re.compile(r"^[ \t]*(?:\*\*)?(?:\(?\d{1,2}[.)])(?=\s|\*)", re.MULTILINE | re.IGNORECASE)
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
_ARTICLE = re.compile(r"\ban?\s+([^\W\d_]+)", re.IGNORECASE)


def check(case: Case) -> str:
    """See the module."""
    before, after = _digits(case.before), _digits(case.after)
    was, now, said = (_quantities(text) for text in (case.before, case.after, case.said))
    there = after.keys() | _values(now)
    known = before.keys() | _values(was) | _digits(case.said).keys() | _values(said)
    lost = [number for number in before if number not in there] + _lost_words(was, there, case)
    if "1" in lost and _an_article_stands_for(was, case.after):
        lost.remove("1")
    added = [number for number in after if number not in known] + _added_words(now, known, case)
    changed: list[str] = []
    if not lost and not added:
        words_before = Counter(quantity.value for quantity in was if not quantity.digits)
        words_after = Counter(quantity.value for quantity in now if not quantity.digits)
        fewer = [n for n in before if after[n] + words_after[n] < before[n]]
        more = [n for n in before if after[n] > before[n] + words_before[n]]
        changed = [f"{a} became {b}" for a, b in zip(fewer, more, strict=False)]
        changed = changed or _moved(case) or _recounted(was, now) or _other_units(was, now, said)
        changed = changed or _replaced(was, now, there, known)
    return joined(listed(lost, "lost"), listed(added, "added"), listed(changed, "changed"))


def _digits(text: Text) -> Counter[str]:
    return Counter(plain(match[0]) for match in _NUMBER.finditer(_LIST_MARK.sub(" ", text.outside_code)))


def _quantities(text: Text) -> list[Quantity]:
    return quantities(_LIST_MARK.sub(" ", text.prose))


def _values(found: Sequence[Quantity]) -> set[str]:
    return {name for quantity in found if not quantity.ordinal for name in quantity.names}


def _stems(text: Text) -> set[str]:
    return {token.content for token in text.tokens if token.content}


def _lost_words(was: Sequence[Quantity], there: Collection[str], case: Case) -> list[str]:
    """Numbers written as words that are gone. `Half of the voters` is lost where the voters stay; `a thousand hugs` may go."""
    left = _stems(case.after)
    found = []
    for quantity in was:
        if quantity.digits or quantity.loose or not quantity.names.isdisjoint(there):
            continue
        shared = bool(quantity.counted & left)
        large = quantity.value in {"100", "1000", "1000000", "1000000000"}
        if shared or not (quantity.fraction or (large and quantity.counted)):
            found.append(quantity.value)
    return found


def _an_article_stands_for(was: Sequence[Quantity], after: Text) -> bool:
    """`1 cup` may become `a cup`."""
    counted = {stem for quantity in was if quantity.value == "1" for stem in quantity.counted}
    return any(content_stem(word.lower()) in counted for word in _ARTICLE.findall(after.prose))


def _added_words(now: Sequence[Quantity], known: Collection[str], case: Case) -> list[str]:
    """New number words before something that the reply speaks of: `four bandages`; not `two cents`."""
    there = _stems(case.before)
    return [
        quantity.value
        for quantity in now
        if not (quantity.digits or quantity.loose or quantity.fraction or not quantity.names.isdisjoint(known))
        and quantity.counted & there
    ]


def _recounted(was: Sequence[Quantity], now: Sequence[Quantity]) -> list[str]:
    """What was counted by a number word that is gone, and is now counted by another number more often than before."""
    before, after = _by_counted(was), _by_counted(now)
    found = []
    for quantity in dict.fromkeys(was):
        for stem in () if quantity.digits else sorted(quantity.counted):
            key = (stem, quantity.ordinal)
            if quantity.names.isdisjoint(after[key]) and (more := sorted((after[key] - before[key]).keys())):
                found.append(f"{_shown(quantity.value)} {stem} became {_shown(more[0])}")
    return found


def _replaced(
    was: Sequence[Quantity], now: Sequence[Quantity], there: Collection[str], known: Collection[str]
) -> list[str]:
    """A word such as `one` or `twice` that is gone where a new number word counts something: `two pills` for `one tablet`."""
    gone = [one.value for one in was if one.loose and not one.ordinal and one.counted and one.value not in there]
    new = [one.value for one in now if not (one.digits or one.ordinal) and one.counted and one.names.isdisjoint(known)]
    return [f"{a} became {b}" for a, b in zip(gone, new, strict=False)]


def _by_counted(found: Sequence[Quantity]) -> defaultdict[tuple[str, bool], Counter[str]]:
    by: defaultdict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    for quantity in found:
        for stem in quantity.counted:
            by[stem, quantity.ordinal].update(quantity.names)
    return by


def _other_units(was: Sequence[Quantity], now: Sequence[Quantity], said: Sequence[Quantity]) -> list[str]:
    """Numbers that stand beside another unit or currency."""
    before, after, asked = _by_value(was), _by_value(now), _by_value(said)
    found = []
    for value, units in before.items():
        gone = (units - after[value]).keys()
        new = (after[value] - units).keys() - asked[value].keys()
        if gone and new:
            found.append(f"{_shown(value)} {min(gone)} became {min(new)}")
    kept = {quantity.value for quantity in was if quantity.digits and "percent" in quantity.units} & after.keys()
    if kept and not any("percent" in units for units in after.values()):
        found.append(f"{min(kept)} percent became {min(kept)}")
    return found


def _by_value(found: Sequence[Quantity]) -> defaultdict[str, Counter[str]]:
    by: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for quantity in found:
        by[quantity.value].update(quantity.units)
    return by


def _shown(value: str) -> str:
    return f"number {value[1:]}" if value.startswith("#") else value


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
            around = found.setdefault(plain(token.low), set())
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
