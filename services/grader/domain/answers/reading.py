"""Clauses of a reply and the cue phrases in them, after everything that the reply takes back has been cut off."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from services.grader.domain.answers.lexicon import Lexicon, lexicon
from services.grader.domain.answers.tokens import Words, split

NONE, CLAUSE, SENTENCE, ASKED = range(4)
_MARKUP = str.maketrans("", "", "*_#\"'“”«»„‟~>")
_CLAUSE_MARKS = frozenset(",;:()[]{}—–=→|")


class Cue(NamedTuple):
    """A cue phrase: first word, word after the last, kinds."""

    start: int
    end: int
    kinds: frozenset[str]


class Clause(NamedTuple):
    """Words from `start` up to `end`, in sentence number `sentence`."""

    start: int
    end: int
    sentence: int


@dataclass(slots=True)
class Reading:
    """A reply as read.

    Attributes:
        words: Its words.
        clauses: In order; every word is in one.
        clause_of: Clause number of each word.
        asked: Whether a sentence is a question.
        cues: In order.
        cues_by: Cues that begin in each clause.
        first: Number of each sentence's first clause, and of one clause past the last.
        kinds: Every kind of cue that occurs.
        retracted: The reply takes back something; `words` holds only what follows.
    """

    words: Words
    clauses: list[Clause]
    clause_of: list[int]
    asked: list[bool]
    cues: list[Cue]
    cues_by: list[list[Cue]]
    first: list[int]
    kinds: set[str] = field(default_factory=set)
    retracted: bool = False

    def cues_of(self, clause: Clause) -> list[Cue]:
        """Cues that begin in a clause."""
        return self.cues_by[self.clause_of[clause.start]]

    def sentence(self, number: int) -> list[Clause]:
        """Clauses of a sentence; none for a number that there is not."""
        if not 0 <= number < len(self.first) - 1:
            return []
        return self.clauses[self.first[number] : self.first[number + 1]]

    def doubts(self) -> bool:
        """Whether the speaker is unsure (I'm not sure), as distinct from words about doubt (it's fine to be unsure)."""
        low = self.words.low
        for cue in self.cues:
            if "doubt" in cue.kinds:
                clause = self.clauses[self.clause_of[cue.start]]
                before = low[clause.start : cue.start]
                if (
                    not before
                    or "i" in before
                    or any(word.startswith("i'") for word in before)
                    or low[cue.start] == "i"
                ):
                    return True
        return False

    def text(self, start: int, end: int) -> str:
        """What stood at these words."""
        raw, seps = self.words.raw, self.words.seps
        return "".join(raw[i] + seps[i] for i in range(start, end - 1)) + raw[end - 1] if end > start else ""


def read(reply: str) -> Reading:
    """Read a reply."""
    words = split(reply)
    lex = lexicon()
    cues = _cues(words, lex)
    cut = 0
    for cue in cues:
        if cue.kinds & _RETRACTIONS:
            cut = cue.end
    if cut:
        words = Words(words.low[cut:], words.raw[cut:], words.seps[cut:])
        cues = _cues(words, lex)
    reading = _clauses(words, lex, cues)
    reading.retracted = cut > 0
    return reading


_RETRACTIONS = frozenset({"retraction", "retraction_alone"})


def _cues(words: Words, lex: Lexicon) -> list[Cue]:
    found: list[Cue] = []
    low, seps, table = words.low, words.seps, lex.cues
    until, last = 0, len(low) - 1
    for index in [i for i, word in enumerate(low) if word in table]:
        if index < until:
            continue
        alone, longer = table[low[index]]
        if longer and index < last and low[index + 1] in longer:
            for phrase, kinds in longer[low[index + 1]]:
                end = index + len(phrase)
                if end > index + 2 and tuple(low[index:end]) != phrase:
                    continue
                if index == 0 and "retraction" in kinds:
                    continue  # nothing was said yet that could be taken back
                if _broken(seps, index, end) or (
                    "retraction_alone" in kinds and not (index and _alone(seps, index, end))
                ):
                    continue
                found.append(Cue(index, end, kinds))
                until = end
                break
        if index >= until and alone is not None:
            if "retraction_alone" in alone and not (index and _alone(seps, index, index + 1)):
                continue
            found.append(Cue(index, index + 1, alone))
    return found


def _alone(seps: list[str], start: int, end: int) -> bool:
    """Whether punctuation stands before and after a phrase."""
    return sep_class(seps[end - 1]) != NONE and (start == 0 or sep_class(seps[start - 1]) != NONE)


def _broken(seps: list[str], start: int, end: int) -> bool:
    """Whether a sentence ends inside a phrase."""
    return any(seps[i] != " " and sep_class(seps[i]) >= SENTENCE for i in range(start, end - 1))


def _clauses(words: Words, lex: Lexicon, cues: list[Cue]) -> Reading:
    low, raw, seps = words.low, words.raw, words.seps
    breaks = lex.breaks
    clauses: list[Clause] = []
    asked: list[bool] = []
    start = sentence = 0
    for index in [i for i, sep in enumerate(seps) if sep != " " or low[i] in breaks or low[i] == "and"]:
        if index > start and (low[index] in breaks or (low[index] == "and" and _second_verb(low, index + 1))):
            clauses.append(Clause(start, index, sentence))
            start = index
        sep = seps[index]
        mark = sep_class(sep)
        if mark == SENTENCE and sep[0] == "." and _abbreviated(low, raw, index, lex):
            continue
        if mark:
            clauses.append(Clause(start, index + 1, sentence))
            start = index + 1
            if mark >= SENTENCE:
                asked.append(mark == ASKED)
                sentence += 1
    if start < len(low):
        clauses.append(Clause(start, len(low), sentence))
    asked.append(False)
    clause_of: list[int] = []
    first: list[int] = []
    for number, clause in enumerate(clauses):
        clause_of += [number] * (clause.end - clause.start)
        if clause.sentence == len(first):
            first.append(number)
    first.append(len(clauses))
    kinds: set[str] = set()
    cues_by: list[list[Cue]] = [[] for _ in clauses]
    for cue in cues:
        kinds |= cue.kinds
        cues_by[clause_of[cue.start]].append(cue)
    return Reading(words, clauses, clause_of, asked, cues, cues_by, first, kinds)


def _second_verb(low: list[str], at: int) -> bool:
    """Whether a second predicate begins: made by the liver | and stored in the gallbladder."""
    return at < len(low) and len(low[at]) > 4 and low[at].endswith("ed")


def _abbreviated(low: list[str], raw: list[str], index: int, lex: Lexicon) -> bool:
    """Whether the full stop after a word belongs to it: Mt. Everest, J. Smith."""
    if low[index] in lex.words["abbreviations"]:
        return True
    if len(raw[index]) != 1 or not raw[index].isupper() or index + 1 >= len(low):
        return False
    follows = raw[index + 1]
    heads = lex.words["letter_heads"]
    named = index > 0 and low[index - 1] in heads
    return not named and (
        follows[0].islower() or (low[index + 1] not in lex.words["openers"] and index > 0 and raw[index] != "I")
    )


class _SepMemo(dict[str, int]):
    def __missing__(self, sep: str) -> int:
        if len(self) > 20_000:
            self.clear()
        value = self[sep] = _classify(sep)
        return value


_BULLET = re.compile(r"\s-+\s|\s-+$|--")


def _classify(sep: str) -> int:
    bare = sep.translate(_MARKUP)
    if "?" in bare:
        return ASKED
    if "\n" in bare or "!" in bare or "…" in bare or ".." in bare or "。" in bare or "！" in bare:
        return SENTENCE
    if "." in bare and bare.strip() == "." and bare[0] != ".":
        return NONE  # .uk, .go.id
    if "." in bare:
        # A full stop inside a word (amazon.com, v2.beta) ends nothing; at the very end of the text it may be bare.
        return SENTENCE if bare != "." or sep != "." else CLAUSE
    if _CLAUSE_MARKS.intersection(bare) or _BULLET.search(sep):
        return CLAUSE
    return NONE


sep_class = _SepMemo().__getitem__
