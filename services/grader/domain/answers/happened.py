"""Yes/no questions: short sentences that call the thing asked about true, or say that it happened or never did."""

from __future__ import annotations

import re

from services.grader.domain.answers.forms import Key
from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.reading import Clause, Reading
from services.grader.domain.answers.stands import coverage

_IT = r"(?:but |and |yet |so |though |sadly |however )*(?:it|this|that|this story|that story|the story)"
_ADVERB = r"(?: really| actually| truly| indeed| did| absolutely| definitely| very much| all| quite| in fact| simply)*"
_TRUE = re.compile(rf"{_IT}(?:'s| is| was){_ADVERB} (?:true|real|a fact|a true story)")
_HAPPENED = re.compile(rf"{_IT}{_ADVERB} (?:happened|happen|took place)(?: in \d+)?")
_NEVER = re.compile(
    rf"{_IT}{_ADVERB} (?:never happened|never took place|did not happen|didn't happen|didn't take place|did not take place)"
)
# A question about a forgery: that it happened may mean that there was none.
_FORGED = frozenset(
    ["fake", "faked", "fakes", "staged", "stage", "hoax", "invent", "invented", "invention", "fiction", "fictional", "myth", "legend", "real", "genuine", "made", "forged", "forge", "forgery", "pretend", "false", "fabricated", "true", "actually"]
)
_OPENING = frozenset(["actually", "surprisingly", "but", "well", "oh", "in", "fact", "amazingly", "remarkably", "incredibly", "however", "and"])
_TURNING = frozenset(["actually", "surprisingly", "but", "amazingly", "remarkably", "incredibly", "however"])
_OTHERS = frozenset(["i", "i'm", "you", "you're", "that", "that's", "this", "just", "there", "there's", "what", "nobody", "no"])
_SHARE = 0.3  # share of the question's content that a No and its negated clause repeat


def truth_of_it(reading: Reading, key: Key, clause: Clause, held: bool | None) -> bool | None:
    """`It really happened`, `it's true`, `that never happened`.

    To a user who holds the negative, `that's true` may confirm it: there a `but` must stand before.
    """
    text = " ".join(reading.words.low[clause.start : clause.end])
    if _NEVER.fullmatch(text):
        return None if _forged(key) else False
    if _HAPPENED.fullmatch(text):
        return None if _forged(key) else True
    if _TRUE.fullmatch(text) and (held is not False or _turned(reading, clause)):
        return True
    return None


def turned_yes(reading: Reading, at: int) -> bool:
    """Whether a Yes turns against a user who holds the negative: Actually, yes."""
    start = reading.sentence(reading.clauses[reading.clause_of[at]].sentence)[0].start
    before = reading.words.low[start:at]
    return _OPENING.issuperset(before) and not _TURNING.isdisjoint(before)


def denied_after_no(reading: Reading, key: Key, at: int) -> bool:
    """Whether a No goes on with the question's own words denied, so that it answers: No, a banana is not a berry."""
    lists = lexicon().words
    number = reading.clause_of[at]
    if number + 1 >= len(reading.clauses):
        return False
    clause = reading.clauses[number + 1]
    if clause.sentence > reading.clauses[number].sentence + 1:
        return False
    words = reading.words.low[clause.start : clause.end]
    if words[0] in _OTHERS or any(word in lists["restatement_guard"] and word not in key.asked for word in words):
        return False
    cues = reading.cues_of(clause)
    if sum("negation" in cue.kinds for cue in cues) != 1 or any(cue.kinds - {"negation"} for cue in cues):
        return False
    return "just" not in words and coverage(reading, key, clause) >= _SHARE


def _forged(key: Key) -> bool:
    return not _FORGED.isdisjoint(key.asked)


def _turned(reading: Reading, clause: Clause) -> bool:
    return any("contrast" in cue.kinds and cue.start <= clause.start for cue in reading.cues)
