"""How a mention stands, read from the clause around it."""

from __future__ import annotations

from itertools import pairwise

from services.grader.domain.answers import cues
from services.grader.domain.answers.forms import Key, stem
from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.mentions import Mention, Stand, find
from services.grader.domain.answers.reading import Clause, Cue, Reading

_DASHES = frozenset(":—–")
_FIRST_PERSON = ("i", "i'd", "i'm", "my", "i'll", "we", "we'd")
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
    ]
)
_PRESENT = frozenset(("is", "are", "does", "do", "can", "has", "have"))
_JOINED = frozenset(("and", "or", "then"))
_BOTH = 0.5  # share of the question that a claim repeats


def judged(reading: Reading, key: Key) -> list[Mention]:
    """All mentions with their stands."""
    mentions = find(reading, key)
    best = {"C": -1.0, "W": -1.0}
    for mention in mentions:
        clause = reading.clauses[reading.clause_of[mention.start]]
        mention.cover = coverage(reading, key, clause)
        best[mention.side] = max(best[mention.side], mention.cover)
    for mention in mentions:
        clause = reading.clauses[reading.clause_of[mention.start]]
        if mention.stand is Stand.NAMED:
            rival = best["W" if mention.side == "C" else "C"]
            mention.stand = _stand(reading, key, clause, mention, rival)
    for earlier, later in pairwise(mentions):
        if _share_a_clause(reading, earlier, later):
            later.stand = Stand.UNSURE
    return mentions


def _share_a_clause(reading: Reading, earlier: Mention, later: Mention) -> bool:
    """Whether a claim stands second in a clause after the other value: made by the liver and kept in the gallbladder."""
    return (
        later.stand is Stand.ASSERTED
        and earlier.side != later.side
        and earlier.stand in (Stand.GUARDED, Stand.NAMED)
        and reading.clause_of[earlier.start] == reading.clause_of[later.start]
        and not _JOINED.isdisjoint(reading.words.low[earlier.end : later.start])
    )


def coverage(reading: Reading, key: Key, clause: Clause) -> float:
    """Share of the question's content that a clause repeats; 0 where the question has none."""
    if not key.stems:
        return 0.0
    return len(key.stems.intersection(map(stem, reading.words.low[clause.start : clause.end]))) / len(key.stems)


def _stand(reading: Reading, key: Key, clause: Clause, mention: Mention, rival: float) -> Stand:
    """The stand of one mention; `rival` is the best coverage of the other side's mentions, -1 without any."""
    if reading.asked[clause.sentence] and not cues.tagged(reading, clause):
        return Stand.ASIDE
    denials: list[Cue] = []
    later = -1
    here: set[str] = set()
    for cue in reading.cues_of(clause):
        if mention.start <= cue.start < mention.end:
            continue
        kinds = cue.kinds
        first = cue.start < mention.start
        if "negation" in kinds:
            if not first:
                later = cue.start if later < 0 else later
            elif not cues.interjection(reading, clause, cue.start, cue.end):
                denials.append(cue)
        if "doubt" in kinds and first:
            here.add("doubt")
        if (
            "guard" in kinds
            and not cues.in_question(reading, key, cue)
            and not cues.idle_guard(reading, clause, cue, first=first)
        ):
            here.add("guard")
        here |= kinds & {"reported", "myth"}
        if "past" in kinds and (first or reading.words.low[cue.start] != "when" or not _PRESENT.isdisjoint(key.asked)):
            here.add("past")
    if denials and cues.not_until(reading, denials[-1], mention):
        denials.pop()
        here -= {"past", "guard"}
    if "first_thought" in reading.kinds and cues.first_thought(reading, clause):
        return Stand.REPORTED
    if "doubt" in here or len(denials) > 1:
        return Stand.UNSURE
    if "reported" in here:
        if denials and all(cue.start >= mention.end for cue in reading.cues_of(clause) if "reported" in cue.kinds):
            return Stand.REJECTED if cues.denies(reading, key, denials[0], mention) else Stand.UNSURE
        return Stand.UNSURE if denials else Stand.REPORTED
    if denials:
        return Stand.REJECTED if "myth" not in here and cues.denies(reading, key, denials[0], mention) else Stand.UNSURE
    if "myth" in here:
        return Stand.REJECTED
    if later >= 0 and cues.denies_predicate(reading, mention, later):
        return Stand.REJECTED if mention.cover >= _BOTH or later + 2 >= clause.end else Stand.ASIDE
    if "guard" in here or ("past" in here and rival >= 0):
        return Stand.GUARDED
    return _positive(reading, key, clause, mention, rival)


def _positive(reading: Reading, key: Key, clause: Clause, mention: Mention, rival: float) -> Stand:
    """ASSERTED where the clause gives the mention as the answer, else NAMED (or UNSURE after a hanging negation)."""
    low = reading.words.low
    lists = lexicon().words
    prefix = low[clause.start : mention.start]
    suffix = low[mention.end : clause.end]
    if "no_negation" in reading.kinds:  # none other than Canberra, no doubt Canberra: the phrase adds nothing
        for cue in reversed(reading.cues_of(clause)):
            if "no_negation" in cue.kinds and cue.end <= mention.start:
                del prefix[cue.start - clause.start : cue.end - clause.start]
    figure = low[mention.start].lstrip("-")[:1].isdigit()
    if low[mention.end - 1].isdigit():  # On 13 April 1990: the day and the month lead to the year
        while prefix and (prefix[-1] in _MONTHS or (prefix[-1].isdigit() and len(prefix[-1]) < len("100"))):
            prefix.pop()
    if _listed(prefix, suffix) or (_related(key, prefix) and not figure) or _elsewhere(reading, key, clause, mention):
        return Stand.GUARDED
    linked = not lists["copula"].isdisjoint(prefix)
    if linked and not lists["actual"].isdisjoint(prefix):
        return Stand.ASSERTED
    lead = lists["lead"]
    if lead.issuperset(prefix) or all(word in lead or stem(word) in key.stems for word in prefix):
        if linked or "answer" in prefix:
            return Stand.ASSERTED
        if prefix and prefix[0] in _FIRST_PERSON:
            return Stand.NAMED if lists["claiming"].isdisjoint(prefix) else Stand.ASSERTED
        closed = lists["closing"].issuperset(suffix) or (figure and _measured(suffix))
        if closed or (suffix[0] in lists["relative"] and not prefix):
            return _bare(reading, key, clause, rival)
        if not prefix and _repeats_question(key, suffix):
            return Stand.ASSERTED
    elif mention.cover >= _BOTH and not lists["copula"].isdisjoint(prefix[-4:]):
        return Stand.ASSERTED
    clear = rival <= 0 or _names_all(reading, key, clause)
    return Stand.ASSERTED if mention.cover > _BOTH or (mention.cover == _BOTH and clear) else Stand.NAMED


def _measured(suffix: list[str]) -> bool:
    """Whether only a unit follows a figure."""
    lex = lexicon()
    return all(word in lex.words["closing"] or word in lex.numerals["units_of_measure"] for word in suffix)


def _listed(prefix: list[str], suffix: list[str]) -> bool:
    """Whether a mention is one of several things joined by `and` or `or`."""
    lists = lexicon().words
    if "or" in suffix[:1] or "or" in prefix[-2:]:
        return True
    if len(suffix) > 1 and suffix[0] == "and" and suffix[1] not in lists["stop"] and suffix[1] not in lists["adverbs"]:
        return True
    return len(prefix) > 1 and prefix[-1] == "and" and prefix[-2] not in lists["lead"]


def _elsewhere(reading: Reading, key: Key, clause: Clause, mention: Mention) -> bool:
    """Whether a clause speaks of other names than the question's: Sydney is the capital of New South Wales."""
    if not key.places:
        return False
    low, raw = reading.words.low, reading.words.raw
    others = [
        place
        for place in range(clause.start + 1, clause.end)
        if raw[place][0].isupper() and not mention.start <= place < mention.end
    ]
    if not others or not key.places.isdisjoint(map(stem, low[clause.start : clause.end])):
        return False
    lists = lexicon().words
    return any(
        low[place] not in key.asked
        and low[place] not in key.words
        and low[place] not in lists["stop"]
        and low[place] not in lists["titles"]
        and low[place] not in lists["openers"]
        for place in others
    )


def _related(key: Key, prefix: list[str]) -> bool:
    """Whether a mention only places something else (south of Sydney), by a relation that the question does not have."""
    lists = lexicon().words
    at = len(prefix) - 1
    while at >= 0 and prefix[at] in lists["articles"]:
        at -= 1
    if at < 0 or prefix[at] not in lists["relations"]:
        return False
    if prefix[at] == "of":
        return at > 0 and stem(prefix[at - 1]) not in key.asked_stems
    none_other = at > 0 and prefix[at - 1] == "other"
    return prefix[at] not in key.asked and not none_other


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


def _bare(reading: Reading, key: Key, clause: Clause, rival: float) -> Stand:
    """A mention that is a clause of its own: an answer, a subject, an item of a list, or what a hanging negation denies."""
    number = reading.clause_of[clause.start]
    low, seps = reading.words.low, reading.words.seps
    lists = lexicon().words
    if number == 0 or reading.clauses[number - 1].sentence != clause.sentence:
        return _opening(reading, key, clause, rival)
    while number > 0 and reading.clauses[number - 1].sentence == clause.sentence:
        number -= 1
        earlier = reading.clauses[number]
        if not _DASHES.isdisjoint(seps[earlier.end - 1]):
            return Stand.ASSERTED
        near = reading.cues_of(earlier)
        if any("reported" in cue.kinds for cue in near):
            return Stand.REPORTED  # your answer, Sydney, is ...
        denials = [cue for cue in near if "negation" in cue.kinds and not cues.interjection(reading, earlier, *cue[:2])]
        if denials:
            hanging = all(word in lists["adverbs"] for word in low[denials[-1].end : earlier.end])
            turned = low[clause.start] == "but" or number == 0
            return Stand.UNSURE if hanging else Stand.ASSERTED if turned else Stand.NAMED
        if any(cue.kinds & {"agree", "disagree", "contrast"} for cue in near):
            continue
        words = low[earlier.start : earlier.end]
        if not all(word in lists["lead"] or word in lists["no"] or stem(word) in key.stems for word in words):
            return Stand.NAMED
    return Stand.ASSERTED


def _opening(reading: Reading, key: Key, clause: Clause, rival: float) -> Stand:
    """A mention that opens its sentence: the whole answer, unless the sentence goes on to say something of it."""
    low = reading.words.low
    later = [other for other in reading.sentence(clause.sentence) if other.start >= clause.end]
    for other in later:
        if low[other.start] in lexicon().auxiliaries and low[other.start] not in ("isn't", "aren't", "doesn't"):
            return Stand.ASSERTED if coverage(reading, key, other) >= _BOTH else Stand.NAMED
    return Stand.NAMED if rival >= 0 and len(later) > 1 else Stand.ASSERTED
