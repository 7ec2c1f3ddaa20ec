"""What is uncertain stays uncertain, and what is certain certain: sentence by sentence, by words such as may, usually, always."""

from __future__ import annotations

from collections.abc import Sequence

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.sentences import Sentence, partner, sentences, shown
from services.rewriter.domain.certificate.text import joined, listed
from services.rewriter.domain.certificate.words import words

_SHARE = 0.6
_LEAST_CONTENT = 2


def check(case: Case) -> str:
    """See the module."""
    before, after = sentences(case.before.sentences), sentences(case.after.sentences)
    surer = [
        shown(one.tokens)
        for one in before
        if _has(one, "doubt") and (found := _partner(one, after)) and not _hedged(one, found)
    ]
    boosted = [
        shown(one.tokens)
        for one in after
        if _has(one, "boosters")
        and not _has(one, "doubt")
        and (found := _partner(one, before))
        and any(_has(o, "doubt") for o in found)
        and not any(_has(o, "boosters") for o in found)
    ]
    doubted = [
        shown(one.tokens)
        for one in after
        if _has(one, "epistemic") and (found := _partner(one, before)) and not any(_has(o, "hedges") for o in found)
    ]
    return joined(
        listed(surer, "surer than before"), listed(boosted, "made certain"), listed(doubted, "less sure than before")
    )


def _hedged(one: Sentence, found: Sequence[Sentence]) -> bool:
    """Whether a partner still doubts, or hedges by a word of its own; `most`, kept from the sentence, replaces no `may`."""
    return any(_has(other, "doubt") or (other.low & words("hedges")) - one.low for other in found)


def _has(one: Sentence, name: str) -> bool:
    return not one.low.isdisjoint(words(name))


def _partner(one: Sentence, others: Sequence[Sentence]) -> Sequence[Sentence]:
    if len(one.content) < _LEAST_CONTENT:
        return ()
    share, found = partner(one, others)
    return found if share >= _SHARE else ()
