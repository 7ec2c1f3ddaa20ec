"""Names survive, and none is added that the conversation does not hold.

A name is a capitalised word inside a sentence, an abbreviation, or a first word that stands capitalised inside another sentence or before
another capitalised word.
"""

from __future__ import annotations

import re

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import Text, joined, listed
from services.rewriter.domain.certificate.words import stem, words

_NO_NAMES = frozenset(
    [
        "i",
        "i'm",
        "i'd",
        "i'll",
        "i've",
        "ok",
        "okay",
        "mr",
        "mrs",
        "ms",
        "dr",
        "yes",
        "no",
        "oh",
        "hey",
        "ah",
        "dear",
        "god",
        "thanks",
        "thank",
        "hi",
        "hello",
        "well",
        "sure",
        "also",
        "however",
    ]
)
_HEADING_SHARE = 0.6


def check(case: Case) -> str:
    """See the module. Case does not count for survival: what a rewrite writes small is still there."""
    before, after, said = _known(case.before), _known(case.after), _known(case.said)
    lost = [name for name in _names(case.before) if not _in(name, after)]
    new = [name for name in _names(case.after, certain=True) if not _in(name, before)]
    if not new:  # what the user named need not be named again, unless another name took its place
        lost = [name for name in lost if not _in(name, said)]
    added = [name for name in new if not _in(name, said)]
    return joined(listed(lost, "lost"), listed(added, "added"))


def _in(name: str, known: frozenset[str]) -> bool:
    low = name.lower()
    return low in known or stem(low) in known


def _known(text: Text) -> frozenset[str]:
    low = {word.removesuffix("'s") for word in text.word_set}
    links = set(re.findall(r"[^\W\d_]+", text.straight.lower()))
    return frozenset(low | {stem(word) for word in low} | links)


def _names(text: Text, *, certain: bool = False) -> list[str]:
    """Names in order; `certain` leaves out first words."""
    found: dict[str, str] = {}
    for sentence in text.sentences:
        letters = [token for token in sentence if token.word]
        capital = [(at, token) for at, token in enumerate(sentence) if token.word and token.text[0].isupper()]
        if len(letters) > 1 and len(capital) > _HEADING_SHARE * len(letters) and len(letters) <= 12:
            capital = [(at, token) for at, token in capital if _abbreviation(token.text)]  # a heading in title case
        for place, (at, token) in enumerate(capital):
            name = token.text.removesuffix("'s")
            if name.lower() in _NO_NAMES or name.lower() in words("stop") or len(name) < 2 or name.endswith("n't"):
                continue
            if token.first and not _abbreviation(name):
                following = sentence[at + 1 : at + 2]
                double = bool(following) and following[0].word and following[0].text[0].isupper()
                if certain or not double or name.lower() in words("starters") or place + 1 >= len(capital):
                    continue
            found.setdefault(name.lower(), name)
    return list(found.values())


def _abbreviation(name: str) -> bool:
    return len(name) > 1 and name.isupper()
