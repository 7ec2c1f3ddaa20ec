"""Yes/no questions: short sentences about the thing asked, stressed verbs, a Yes or No to a user who holds the negative."""

from __future__ import annotations

import re

from services.grader.domain.answers.forms import Key, stem
from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.reading import Clause, Reading
from services.grader.domain.answers.stands import coverage

_IT = r"(?:but |and |yet |so |though |sadly |however )*(?:it|this|that|this story|that story|the story)"
_ADVERB = r"(?: really| actually| truly| indeed| did| absolutely| definitely| very much| all| quite| in fact| simply)*"
_TRUE = re.compile(rf"{_IT}(?:'s| is| was){_ADVERB} (?:true|real|a fact|a true story)")
_HAPPENED = re.compile(rf"{_IT}(?: \w+)?{_ADVERB} (?:happened|happen|took place)(?: in \d+)?")
_NEVER = re.compile(
    rf"{_IT}{_ADVERB} (?:never happened|never took place|did not happen|didn't happen|didn't take place|did not take place)"
)
# A question about a forgery: that it happened may mean that there was none.
_FORGED = frozenset(
    [
        "fake",
        "faked",
        "fakes",
        "staged",
        "stage",
        "hoax",
        "invent",
        "invented",
        "invention",
        "fiction",
        "fictional",
        "myth",
        "legend",
        "real",
        "genuine",
        "made",
        "forged",
        "forge",
        "forgery",
        "pretend",
        "false",
        "fabricated",
        "true",
        "actually",
    ]
)
_OPENING = frozenset(
    [
        "actually",
        "surprisingly",
        "but",
        "well",
        "oh",
        "in",
        "fact",
        "amazingly",
        "remarkably",
        "incredibly",
        "however",
        "and",
    ]
)
_TURNING = frozenset(["actually", "surprisingly", "but", "amazingly", "remarkably", "incredibly", "however"])
_OTHERS = frozenset(
    ["i", "i'm", "you", "you're", "that", "that's", "this", "just", "there", "there's", "what", "nobody", "no"]
)
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


def meant(reading: Reading, key: Key, at: int, *, value: bool) -> bool:
    """Whether an answer word to a user who holds the negative is the answer and not about the user's words."""
    if value:
        return _turned_yes(reading, at)
    return _said_no(reading, at) or _denied_after_no(reading, key, at)


def _turned_yes(reading: Reading, at: int) -> bool:
    """Whether a Yes turns against a user who holds the negative: Actually, yes."""
    start = reading.sentence(reading.clauses[reading.clause_of[at]].sentence)[0].start
    before = reading.words.low[start:at]
    return _OPENING.issuperset(before) and not _TURNING.isdisjoint(before)


def _denied_after_no(reading: Reading, key: Key, at: int) -> bool:
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


def short_form(reading: Reading, key: Key, clause: Clause) -> bool | None:
    """`It can`, `they really don't`, `it absolutely can strike the same place twice`."""
    if not key.asked or key.asked[0] not in lexicon().auxiliaries:
        return None
    family = lexicon().auxiliaries[key.asked[0]]
    low = reading.words.low
    lists = lexicon().words
    if family == "do" and " ".join(low[clause.start : clause.end]) in ("it won't", "it will not", "they won't"):
        return False
    at = clause.start
    while at < clause.end - 2 and low[at] in lists["preamble"] and low[at + 1] not in lexicon().auxiliaries:
        at += 1
    if low[at] not in lists["pronouns"]:
        return None
    verb = at if low[at] in lexicon().auxiliaries and lexicon().auxiliaries[low[at]] == family else -1
    at += 1
    while verb < 0 and at < clause.end and low[at] in lists["adverbs"] and low[at] not in lexicon().auxiliaries:
        at += 1
    if verb < 0:
        if at >= clause.end or lexicon().auxiliaries.get(low[at]) != family:
            return None
        verb = at
    negated = low[verb].endswith("n't") or low[verb] in ("cannot", "cant", "dont", "doesnt", "didnt", "isnt", "arent")
    rest = low[verb + 1 : clause.end]
    for word in rest:
        if word in ("not", "never"):
            negated = not negated
        elif word in lists["adverbs"] or stem(word) in key.stems or word in lists["pronouns"]:
            continue
        else:
            return None
    if not rest and verb == clause.start and family == "be" and low[verb] in ("it's", "that's", "they're", "you're"):
        return None
    if _closing(rest) and _points_back(reading, key, clause, family):
        return None
    if rest and not negated and not any(stem(word) in key.stems for word in rest) and not _closing(rest):
        return None
    return not negated


def _closing(rest: list[str]) -> bool:
    """Whether what follows the verb adds nothing."""
    adverbs = lexicon().words["adverbs"]
    return all(word in adverbs or word in lexicon().words["pronouns"] for word in rest)


def _points_back(reading: Reading, key: Key, clause: Clause, family: str) -> bool:
    """Whether a short form belongs to something said earlier in its sentence: I took it for a joke | but it isn't."""
    lex = lexicon()
    low = reading.words.low
    for earlier in reading.sentence(clause.sentence):
        if earlier.start >= clause.start:
            break
        at = next((i for i in range(earlier.start, earlier.end) if lex.auxiliaries.get(low[i]) == family), None)
        if at is None:
            continue
        rest = low[at + 1 : earlier.end]
        if any(stem(word) not in key.stems and word not in lex.words["stop"] | lex.words["adverbs"] for word in rest):
            return True
    return False


def emphatic(reading: Reading, key: Key, clause: Clause) -> bool:
    """Whether a stressed verb of the question says that it is so: soap really does lower the risk."""
    low = reading.words.low
    return any(
        low[i] in ("do", "does", "did") and stem(low[i + 1]) in key.stems
        for i in range(clause.start + 1, clause.end - 1)
    )


def _said_no(reading: Reading, at: int) -> bool:
    """Whether a No is what the speaker says: I'd say no."""
    return at > 0 and reading.words.low[at - 1] == "say"


def _forged(key: Key) -> bool:
    return not _FORGED.isdisjoint(key.asked)


def _turned(reading: Reading, clause: Clause) -> bool:
    return any("contrast" in cue.kinds and cue.start <= clause.start for cue in reading.cues)
