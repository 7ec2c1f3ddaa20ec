"""What is denied stays denied, and nothing else is.

By the words that a denial is about, by words and their opposites, sentence by sentence, and by yes or no at the start.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.opposites import Polarity, turned
from services.rewriter.domain.certificate.sentences import Sentence, partner, sentences, shown
from services.rewriter.domain.certificate.text import Text, Token, joined, listed
from services.rewriter.domain.certificate.words import denies, phrases, words

_BREAKS = frozenset(
    [".", "!", "?", ";", ":", "\n", "\u2026", "\u2014", "but", "because", "however", "although", "though", "so"]
)
_DETERMINERS = frozenset(["no", "none", "nothing", "nobody", "never", "neither", "nor", "without"])
_REACH = 9
_WIDE = 4
_LOST_SHARE, _ADDED_SHARE = 0.6, 0.7
_LEAST_CONTENT = 2
_PREFIX = re.compile(r"(?:un|in|im|ir|il|non|dis|mis)-?[a-z]{4,}|[a-z]{3,}(?:less|free)")
_ANSWER = re.compile(r"\W*(yes|yeah|yep|no|nope)\b\s*[,.!:;\u2014-]", re.IGNORECASE)


def check(case: Case) -> str:
    """See the module."""
    before, after = _tokens(case.before), _tokens(case.after)
    was, now = _polarity(before), _polarity(after)
    affirmed = [s for s in was.first if now.denied[s] < was.denied[s] and now.plainly(s) > was.plainly(s)]
    denied = [
        s for s in now.first if was.total[s] and was.denied[s] < now.denied[s] and now.plainly(s) < was.plainly(s)
    ]
    opposites = turned({token.low for token in (*before, *after) if token.word}, was, now)
    reasons = [listed(affirmed, "no longer denied"), listed(denied, "now denied"), listed(opposites, "turned")]
    if not affirmed and not denied:
        reasons.append(_moved(was, now))
        reasons += _by_sentence(_grouped(before), _grouped(after))
    answers = _ANSWER.match(case.before.prose), _ANSWER.match(case.after.prose)
    if answers[0] and answers[1] and (answers[0][1][0].lower() != answers[1][1][0].lower()):
        reasons.append(f"{answers[0][1]} became {answers[1][1]}")
    return joined(*reasons)


def _moved(was: Polarity, now: Polarity) -> str:
    """A denial that was about one word of the reply and is now about another."""
    there = [s for s in was.denied if now.total[s] >= was.total[s]]
    freed = [s for s in there if not now.denied[s] and now.total[s]]
    caught = [s for s in now.denied if not was.denied[s] and was.total[s] and now.total[s] <= was.total[s]]
    return f"the denial moved: {freed[0]} to {caught[0]}" if freed and caught else ""


def _tokens(text: Text) -> list[Token]:
    """The prose without phrases that deny nothing (`don't worry`)."""
    plain, idioms = _idioms().subn(" ", text.prose)
    return Text(plain).tokens if idioms else text.tokens


@cache
def _idioms() -> re.Pattern[str]:
    longest_first = sorted(phrases("idioms"), key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b", re.IGNORECASE)


def _is_cue(token: Token, following: Token | None) -> bool:
    if token.low == "no" and following is not None and following.text == ",":
        return False  # the answer `No, ...`
    return denies(token.low)


def _polarity(tokens: Sequence[Token]) -> Polarity:
    total: Counter[str] = Counter()
    total.update(token.content for token in tokens if token.content)
    denied: Counter[str] = Counter()
    first: Counter[str] = Counter()
    seen: set[int] = set()
    for place in _cues(tokens):
        token = tokens[place]
        reached = _reached(tokens, place)
        if reached:
            first[tokens[reached[0]].content] += 1
        if token.low in _DETERMINERS:  # `found no link` denies the finding too
            reached += _behind(tokens, place, 1)
        elif reached and tokens[reached[0]].low in words("about"):  # `a car is not needed` denies the car
            reached += _behind(tokens, place, _WIDE)
        for index in reached:
            if index not in seen:
                denied[tokens[index].content] += 1
        seen.update(reached)
    return Polarity(total, denied, first)


def _reached(tokens: Sequence[Token], cue: int) -> list[int]:
    """Places of the content words that a denial is about."""
    found: list[int] = []
    for index in range(cue + 1, min(cue + 1 + _REACH, len(tokens))):
        if tokens[index].low in _BREAKS or len(found) == _WIDE:
            break
        if tokens[index].content:
            found.append(index)
    return found


def _behind(tokens: Sequence[Token], cue: int, most: int) -> list[int]:
    """Places of the content words before a denial, in its clause, nearest first."""
    found: list[int] = []
    for index in range(cue - 1, max(cue - 1 - _REACH, -1), -1):
        if tokens[index].low in _BREAKS or tokens[index].text == "," or len(found) == most:
            break
        if tokens[index].content:
            found.append(index)
    return found


def _grouped(tokens: Sequence[Token]) -> list[Sentence]:
    groups: dict[int, list[Token]] = {}
    for token in tokens:
        if token.word or token.low[0].isdigit() or token.text == ",":
            groups.setdefault(token.sentence, []).append(token)
    return sentences(groups[number] for number in sorted(groups))


def _by_sentence(before: Sequence[Sentence], after: Sequence[Sentence]) -> list[str]:
    lost = [shown(one.tokens) for one in before if _denies(one) and _plain_partner(one, after, _LOST_SHARE)]
    added = [shown(one.tokens) for one in after if _denies(one) and _plain_partner(one, before, _ADDED_SHARE)]
    return [listed(lost, "denial lost in"), listed(added, "denial added in")]


def _plain_partner(one: Sentence, others: Sequence[Sentence], least: float) -> bool:
    """Whether the sentence stands in the other text too, and nothing negative there."""
    if len(one.content) < _LEAST_CONTENT:
        return False
    share, found = partner(one, others)
    if share < least or any(map(_negative, found)):
        return False
    about = {one.tokens[index].content for place in _cues(one.tokens) for index in _reached(one.tokens, place)}
    return not about or any(about & other.content for other in found)


def _denies(one: Sentence) -> bool:
    return bool(_cues(one.tokens))


def _cues(tokens: Sequence[Token]) -> list[int]:
    """Places of denials."""
    following = [*tokens[1:], None]
    return [place for place, token in enumerate(tokens) if _is_cue(token, following[place])]


def _negative(one: Sentence) -> bool:
    return _denies(one) or any(token.low in words("negative") or _PREFIX.fullmatch(token.low) for token in one.tokens)
