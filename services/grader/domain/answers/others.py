"""Answers that are neither C nor W, where they can be told for sure: another proper name, another number."""

from __future__ import annotations

from difflib import SequenceMatcher

from services.grader.domain.answers.forms import C, Key, W, stem
from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.mentions import unit_after
from services.grader.domain.answers.reading import Clause, Reading
from services.grader.domain.answers.stands import coverage

_LINKS = frozenset(("of", "the", "and", "de", "da", "di", "van", "von", "la", "le", "del", "der", "al"))
_SPOILING = frozenset(("negation", "reported", "doubt", "guard", "first_thought", "myth"))
_ALIKE = 0.6
_COUNTED = 2100  # counts and years up to here are exact; larger figures may be rounded
_ROUNDING = 0.02
_ROUNDED = 0.10
_ABOUT = ("about", "around", "roughly", "approximately", "nearly", "almost", "circa", "some", "over", "under", "say")


def claims(reading: Reading, key: Key) -> list[str]:
    """Other values that clauses give as the answer, as they stand in the reply."""
    if not key.numeric and not key.proper:
        return []
    found = []
    for clause in reading.clauses:
        if reading.asked[clause.sentence] or any(cue.kinds & _SPOILING for cue in reading.cues_of(clause)):
            continue
        text = _number(reading, key, clause) if key.numeric else _name(reading, key, clause)
        if text:
            found.append(text)
    return found


def differs(value: str, target: str, *, counted: bool = True) -> bool:
    """Whether two figures differ for sure: counts and years exactly, others by more than 2 %, rounded ones by 10 %."""
    try:
        left, right = float(value), float(target)
    except ValueError:
        return False
    if left == right:
        return False
    size = max(abs(left), abs(right))
    if not counted:
        return abs(left - right) > _ROUNDED * size
    exact = left == int(left) and right == int(right) and size <= _COUNTED
    return exact or abs(left - right) > _ROUNDING * size


def _prefix(reading: Reading, key: Key, clause: Clause) -> int:
    """First word after the clause's opening (It was ..., The capital of Turkey is ...); its start without one."""
    low = reading.words.low
    lists = lexicon().words
    at, after_copula = clause.start, clause.start
    while at < clause.end and (low[at] in lists["lead"] or stem(low[at]) in key.stems):
        at += 1
        if low[at - 1] in lists["copula"]:
            after_copula = at
    return after_copula


def _name(reading: Reading, key: Key, clause: Clause) -> str:
    words = reading.words
    low, raw = words.low, words.raw
    lists = lexicon().words
    start = _prefix(reading, key, clause)
    opened = start > clause.start
    while start < clause.end and low[start] in (*lists["articles"], "in", "at", "on", "actually", "indeed", "probably"):
        start += 1
    end = start
    while end < clause.end and (raw[end][0].isupper() or (end > start and low[end] in _LINKS)):
        end += 1
    while end > start and low[end - 1] in _LINKS:
        end -= 1
    if end == start or _strange(low[start:end], key, raw[start:end]):
        return ""
    if not opened:
        whole = len(low) == end - start
        verb = clause.end - end == 1 and low[end] in lexicon().auxiliaries
        if not whole and not verb and (coverage(reading, key, clause) <= 0.5 or end == clause.end):
            return ""
    elif end < clause.end and low[end] not in lists["relative"] and low[end] not in lists["tail"]:
        return ""
    return reading.text(start, end)


def _strange(low: list[str], key: Key, raw: list[str]) -> bool:
    """Whether a name is none (an opener, words of the question) or could be C or W in other words."""
    lists = lexicon().words
    content = [word for word in low if word not in _LINKS]
    if all(word in lists["openers"] or word in lists["stop"] or word in lists["lead"] for word in content):
        return True
    if any(word in lexicon().cues or word.endswith("ly") for word in content):
        return True
    if all(word in key.asked for word in content):
        return True
    if any(len(word) == 1 for word in low) or any(word.isupper() for word in raw):
        return True
    joined = "".join(content)
    initials = "".join(word[0] for word in content)
    for side in (C, W):
        for form in key.forms[side]:
            if any(word[:4] == other[:4] for word in content for other in form if len(word) > 2 and len(other) > 2):
                return True
            other = "".join(form)
            if initials == other or "".join(word[0] for word in form) == joined:
                return True
            if SequenceMatcher(None, joined, other).ratio() >= _ALIKE:
                return True
    return False


def _number(reading: Reading, key: Key, clause: Clause) -> str:
    """The one number of a clause that answers, where C is a number and this is neither C nor W."""
    low = reading.words.low
    figures = [
        i
        for i in range(clause.start, clause.end)
        if (low[i][0].isdigit() or low[i][0] == "-") and low[i] not in key.asked
    ]
    if len(figures) != 1:
        return ""
    at = figures[0]
    value = low[at]
    target = next((form[0] for form in key.forms[C] if len(form) == 1), "")
    if not target or any(value in form for side in (C, W) for form in key.forms[side]):
        return ""
    rounded = at > 0 and low[at - 1] in _ABOUT
    if not differs(value, target, counted=not rounded):
        return ""
    unit = unit_after(reading, at)
    if unit and unit not in key.units:
        return ""
    start = _prefix(reading, key, clause)
    opened = start > clause.start and at - start <= 2
    whole = len(low) <= 3
    if not (opened or whole or coverage(reading, key, clause) >= 0.5):
        return ""
    return reading.text(at, at + 1)
