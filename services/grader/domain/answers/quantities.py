"""Numbers: a stated value as for short answers, else the result that a worked solution ends in."""

from __future__ import annotations

import re

from services.grader.domain.answers import names
from services.grader.domain.answers.decision import Claim, Decision, side_claim
from services.grader.domain.answers.forms import C, Key, W
from services.grader.domain.answers.others import differs
from services.grader.domain.answers.reading import SENTENCE, Reading, sep_class
from services.grader.domain.answers.tokens import split

_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}|####\s*([^\n]+)")


def decide(reply: str, reading: Reading, key: Key, belief: str) -> Decision | None:
    """The number claimed; None where it is not sure."""
    boxed = [left or right for left, right in _BOXED.findall(reply)]
    if boxed:
        return _compare(_figures(boxed[-1]), key, "BOXED_RESULT")
    if _is_worked(reply, reading):
        return _compare(_last(reading), key, "LAST_RESULT")
    return names.decide(reading, key, belief)


def _is_worked(reply: str, reading: Reading) -> bool:
    """Whether the reply computes (and so names many numbers on its way)."""
    return "=" in reply and sum(word[0].isdigit() for word in reading.words.low) >= 3


def _figures(text: str) -> str:
    figures = [word for word in split(text).low if word[0].isdigit() or word[0] == "-"]
    return figures[0] if len(figures) == 1 else ""


def _last(reading: Reading) -> str:
    """The result: the number after `answer is` in the last sentence with numbers, or the last one after its last `=`."""
    low, seps = reading.words.low, reading.words.seps
    places = [i for i, word in enumerate(low) if word[0].isdigit()]
    if not places:
        return ""
    sentence = reading.clauses[reading.clause_of[places[-1]]].sentence
    own = [i for i in places if reading.clauses[reading.clause_of[i]].sentence == sentence]
    answered = [i for i in own if {"answer", "total", "result"} & set(low[max(0, i - 4) : i])]
    if answered:
        return low[answered[-1]]
    for i in reversed(own):
        if i and "=" in seps[i - 1]:
            return low[i]
    distinct = {low[i] for i in own}
    if len(distinct) == 1 and not _followed(reading, places[-1]):
        return distinct.pop()
    return low[own[-1]] if _computed_before(reading, low[own[-1]], own[0]) else ""


def _followed(reading: Reading, at: int) -> bool:
    """Whether much text follows the last number, so that it may not be the result."""
    rest = reading.words.seps[at:]
    return sum(sep_class(sep) >= SENTENCE for sep in rest) > 3


def _computed_before(reading: Reading, value: str, until: int) -> bool:
    """Whether a value is the right-hand side of an earlier `=`."""
    low, seps = reading.words.low, reading.words.seps
    results = [low[i] for i in range(1, until) if "=" in seps[i - 1]]
    return bool(results) and results[-1] == value


def _compare(value: str, key: Key, rule: str) -> Decision | None:
    if not value:
        return None
    for side in (C, W):
        if any(form[0] == value for form in key.forms[side]):
            return Decision(side_claim(side), rule, value)
    if not key.forms[C] or not all(differs(value, form[0]) for form in key.forms[C]):
        return None
    return Decision(Claim.OTHER, rule, value)
