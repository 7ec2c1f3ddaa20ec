"""How a mention stands, read from the clause around it."""

from __future__ import annotations

from services.grader.domain.answers.forms import Key, stem
from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.mentions import Mention, Stand, find
from services.grader.domain.answers.reading import Clause, Cue, Reading

_JOINING = ("and", "or")
_BOTH = 0.5  # share of the question that a claim repeats


def judged(reading: Reading, key: Key) -> list[Mention]:
    """All mentions with their stands."""
    mentions = find(reading, key)
    alone = len({mention.side for mention in mentions}) < 2
    for mention in mentions:
        clause = reading.clauses[reading.clause_of[mention.start]]
        mention.cover = coverage(reading, key, clause)
        if mention.stand is Stand.NAMED:
            mention.stand = _stand(reading, key, clause, mention, alone=alone)
    return mentions


def coverage(reading: Reading, key: Key, clause: Clause) -> float:
    """Share of the question's content that a clause repeats; 0 where the question has none."""
    if not key.stems:
        return 0.0
    return len(key.stems.intersection(map(stem, reading.words.low[clause.start : clause.end]))) / len(key.stems)


def _stand(reading: Reading, key: Key, clause: Clause, mention: Mention, *, alone: bool) -> Stand:
    if reading.asked[clause.sentence] and not _tagged(reading, clause):
        return Stand.ASIDE
    denied = 0
    later = -1
    here: set[str] = set()
    for cue in reading.cues:
        if cue.start >= clause.end:
            break
        if cue.start < clause.start or mention.start <= cue.start < mention.end:
            continue
        kinds = cue.kinds
        first = cue.start < mention.start
        if "negation" in kinds:
            if not first:
                later = cue.start if later < 0 else later
            elif not _interjection(reading, clause, cue.start, cue.end):
                denied += 1
        if "doubt" in kinds and first:
            here.add("doubt")
        if (
            "guard" in kinds
            and not _in_question(reading, key, cue.start, cue.end)
            and not _would_be(reading, clause, cue)
        ):
            here.add("guard")
        here |= kinds & {"reported", "myth", "past"}
    if "first_thought" in reading.kinds and _first_thought(reading, clause):
        return Stand.REPORTED
    if "doubt" in here or denied > 1:
        return Stand.UNSURE
    if "reported" in here:
        return Stand.UNSURE if denied else Stand.REPORTED
    if denied or "myth" in here:
        return Stand.UNSURE if denied and "myth" in here else Stand.REJECTED
    if later >= 0 and _denies_predicate(reading, mention, later):
        return Stand.REJECTED if mention.cover >= _BOTH or later + 2 >= clause.end else Stand.ASIDE
    if "guard" in here or ("past" in here and not alone):
        return Stand.GUARDED
    return _positive(reading, key, clause, mention, alone=alone)


def _tagged(reading: Reading, clause: Clause) -> bool:
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


def _interjection(reading: Reading, clause: Clause, start: int, end: int) -> bool:
    """Whether a `no` is the answer word and not a negation: No it is Canberra."""
    return end - start == 1 and reading.words.low[start] == "no" and start == clause.start


def _would_be(reading: Reading, clause: Clause, cue: Cue) -> bool:
    """Whether `would be` is only polite: That would be Everest."""
    low = reading.words.low
    return (
        cue.start > clause.start
        and low[cue.start] == "would"
        and low[cue.start - 1] in ("that", "it", "this", "answer")
    )


def _in_question(reading: Reading, key: Key, start: int, end: int) -> bool:
    return all(word in key.asked for word in reading.words.low[start:end])


def _denies_predicate(reading: Reading, mention: Mention, at: int) -> bool:
    """Whether a negation after a mention denies what is said of it: Sydney is not the capital."""
    low = reading.words.low
    if at - mention.end > 4 or (at > 0 and low[at - 1] == "and"):
        return False
    word = low[at]
    return word.endswith("n't") or word in ("never", "cannot") or (at > 0 and low[at - 1] in lexicon().auxiliaries)


def _first_thought(reading: Reading, clause: Clause) -> bool:
    """Whether the clause tells what the speaker thought at first, before the `but` of its sentence."""
    for cue in reading.cues:
        if "first_thought" not in cue.kinds:
            continue
        if reading.clauses[reading.clause_of[cue.start]].sentence != clause.sentence:
            continue
        turns = (other.start for other in reading.cues if other.start >= cue.end and "contrast" in other.kinds)
        turn = next(turns, None)
        if turn is None or clause.start < turn:
            return True
    return False


def _positive(reading: Reading, key: Key, clause: Clause, mention: Mention, *, alone: bool) -> Stand:
    """ASSERTED where the clause gives the mention as the answer, else NAMED (or UNSURE after a hanging negation)."""
    low = reading.words.low
    lists = lexicon().words
    prefix = low[clause.start : mention.start]
    suffix = low[mention.end : clause.end]
    if _listed(prefix, suffix):
        return Stand.GUARDED
    linked = not lists["copula"].isdisjoint(prefix)
    if linked and not lists["actual"].isdisjoint(prefix):
        return Stand.ASSERTED
    if all(word in lists["lead"] or stem(word) in key.stems for word in prefix):
        if linked or "answer" in prefix:
            return Stand.ASSERTED
        if prefix and prefix[0] in ("i", "i'd", "i'm", "my", "i'll") and not lists["claiming"].isdisjoint(prefix):
            return Stand.ASSERTED
        if not suffix or all(word in lists["tail"] for word in suffix):
            return _bare(reading, key, clause)
        if suffix[0] in lists["relative"] and not prefix:
            return _bare(reading, key, clause)
        if not prefix and _repeats_question(key, suffix):
            return Stand.ASSERTED
    elif mention.cover >= _BOTH and not lists["copula"].isdisjoint(prefix[-4:]):
        return Stand.ASSERTED
    if mention.cover > _BOTH or (mention.cover == _BOTH and (alone or _names_all(reading, key, clause))):
        return Stand.ASSERTED
    return Stand.NAMED


def _listed(prefix: list[str], suffix: list[str]) -> bool:
    """Whether a mention is one of several things joined by `and` or `or`."""
    lists = lexicon().words
    if (
        len(suffix) > 1
        and suffix[0] in _JOINING
        and suffix[1] not in lists["stop"]
        and suffix[1] not in lists["adverbs"]
    ):
        return True
    return len(prefix) > 1 and prefix[-1] in _JOINING and prefix[-2] not in lists["lead"]


def _repeats_question(key: Key, suffix: list[str]) -> bool:
    """Whether what follows is the question's own predicate: is the largest."""
    lists = lexicon().words
    return (
        suffix[0] in lexicon().auxiliaries
        and any(stem(word) in key.stems for word in suffix)
        and all(stem(word) in key.stems or word in lists["tail"] or word in lists["stop"] for word in suffix)
    )


def _names_all(reading: Reading, key: Key, clause: Clause) -> bool:
    """Whether a clause holds every name and figure of the question."""
    return bool(key.names) and key.names <= set(map(stem, reading.words.low[clause.start : clause.end]))


def _bare(reading: Reading, key: Key, clause: Clause) -> Stand:
    """A mention that is a clause of its own: an answer, an item of a list, or what a hanging negation denies."""
    number = reading.clause_of[clause.start]
    low, seps = reading.words.low, reading.words.seps
    lists = lexicon().words
    while number > 0 and reading.clauses[number - 1].sentence == clause.sentence:
        earlier = reading.clauses[number - 1]
        number -= 1
        words = low[earlier.start : earlier.end]
        if ":" in seps[earlier.end - 1] or "—" in seps[earlier.end - 1] or "–" in seps[earlier.end - 1]:
            return Stand.ASSERTED
        cues = [cue for cue in reading.cues if earlier.start <= cue.start < earlier.end]
        denials = [cue for cue in cues if "negation" in cue.kinds and not _interjection(reading, earlier, *cue[:2])]
        if denials:
            hanging = denials[-1].end >= earlier.end - 1
            return (
                Stand.UNSURE
                if hanging
                else Stand.ASSERTED
                if low[clause.start] == "but" or number == 0
                else Stand.NAMED
            )
        if any(cue.kinds & {"agree", "disagree", "contrast"} for cue in cues):
            continue
        if all(word in lists["lead"] or word in lists["no"] or stem(word) in key.stems for word in words):
            continue
        return Stand.NAMED
    return Stand.ASSERTED
