"""What a cue phrase near a mention does to it: whether a negation is about it, whether a guard guards anything."""

from __future__ import annotations

from services.grader.domain.answers.forms import Key, stem
from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.mentions import Mention
from services.grader.domain.answers.reading import Clause, Cue, Reading

_TURNING = ("than", "like", "beats", "beat", "except", "besides", "as", "without", "but")
_LONGEST = 40  # clauses of one sentence that are looked at; no honest sentence has more
_SPEAKERS = ("i", "you", "we", "one")


def denies(reading: Reading, key: Key, denial: Cue, mention: Mention) -> bool:
    """Whether a negation before a mention is about it: not in Sydney, but hardly: nobody disputes that it is Canberra."""
    between = reading.words.low[denial.end : mention.start]
    lists = lexicon().words
    if between and between[-1] in _TURNING:
        return False
    low = reading.words.low
    speaker = denial.start > 0 and low[denial.start - 1] in _SPEAKERS
    if not speaker and mention.cover > 0 and len(between) <= 4 and low[denial.start].endswith(("n't", "not")):
        return True
    return all(word in lists["lead"] or word in lists["articles"] or stem(word) in key.asked_stems for word in between)


def not_until(reading: Reading, denial: Cue, mention: Mention) -> bool:
    """Whether the negation asserts: it did not come until 1990."""
    return "until" in reading.words.low[denial.end : mention.start]


def tagged(reading: Reading, clause: Clause) -> bool:
    """Whether a clause is no question itself but has one hung on: It was Shelley, isn't that amazing?"""
    number = reading.clause_of[clause.start]
    if number + 1 >= len(reading.clauses):
        return False
    following = reading.clauses[number + 1]
    if following.sentence != clause.sentence:
        return False
    low = reading.words.low
    auxiliaries = lexicon().auxiliaries
    return low[following.start] in auxiliaries and low[clause.start] not in auxiliaries


def interjection(reading: Reading, clause: Clause, start: int, end: int) -> bool:
    """Whether a `no` is the answer word and not a negation: No it is Canberra."""
    return end - start == 1 and reading.words.low[start] == "no" and start == clause.start


def idle_guard(reading: Reading, clause: Clause, cue: Cue, *, first: bool) -> bool:
    """Whether a guarding word guards nothing: That would be Everest; only in 1990."""
    low = reading.words.low
    if low[cue.start] in ("only", "also"):
        return first
    if low[cue.start] == "suppose":
        return cue.start > clause.start and low[cue.start - 1] == "i"
    return (
        cue.start > clause.start
        and low[cue.start] == "would"
        and low[cue.start - 1] in ("that", "it", "this", "answer")
    )


def in_question(reading: Reading, key: Key, cue: Cue) -> bool:
    """Whether the question itself has the cue's words, so that they guard nothing."""
    return all(word in key.asked for word in reading.words.low[cue.start : cue.end])


def denies_predicate(reading: Reading, mention: Mention, at: int) -> bool:
    """Whether a negation after a mention denies what is said of it: Sydney is not the capital."""
    low = reading.words.low
    if at - mention.end > 4 or (at > 0 and low[at - 1] == "and"):
        return False
    word = low[at]
    return word.endswith("n't") or word in ("never", "cannot") or (at > 0 and low[at - 1] in lexicon().auxiliaries)


def first_thought(reading: Reading, clause: Clause) -> bool:
    """Whether the clause tells what the speaker thought at first, before the `but` of its sentence."""
    parts = reading.sentence(clause.sentence)[:_LONGEST]
    cues = [cue for part in parts for cue in reading.cues_of(part)]
    for cue in cues:
        if "first_thought" in cue.kinds:
            turn = next((other.start for other in cues if other.start >= cue.end and "contrast" in other.kinds), None)
            if turn is None or clause.start < turn:
                return True
    return False
