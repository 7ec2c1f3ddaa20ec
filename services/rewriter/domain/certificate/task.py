"""The text is the reply in other words: no refusal of the task, no talk about it, no answer to somebody else, nothing obeyed."""

from __future__ import annotations

import re

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.sentences import content
from services.rewriter.domain.certificate.words import phrases

_KEPT_SHARE = 0.5
_SHORTENED_SHARE = 0.3
_OWN_SHARE = 0.6
_NEW_SHARE = 0.6
_NEW_WORDS = 12
_SMALL = 3
_OPENING_CHARS = 240
_MARKS = re.compile(r"<<< (?:reply|asked|problems)\b|>>> (?:reply|asked|problems)\b")


def check(case: Case) -> str:
    """See the module."""
    return (
        _refused(case)
        or _talk(case)
        or _answered(case)
        or ("holds the marks of the task" if _MARKS.search(case.text) else "")
    )


def _refused(case: Case) -> str:
    opening, before = case.after.straight[:_OPENING_CHARS].lower(), case.before.straight.lower()
    declines_now = any(phrase in opening for phrase in phrases("refusal"))
    declined = any(phrase in before for phrase in phrases("refusal"))
    if declines_now and not declined and any(word in opening for word in phrases("task_refusal")):
        return "refuses the task"
    if declined and _declining(before) and not any(phrase in case.after.straight.lower() for phrase in _DECLINING):
        return "the reply declines and the rewrite does not"
    return ""


_DECLINING = ("can't", "cannot", "can not", "unable", "not able", "won't", "will not", "not possible", "isn't possible", "decline",
              "not appropriate", "don't have", "do not have", "wish i could", "rather not", "no way for me", "couldn't", "against my", "not something i", "isn't something i", "not provided", "not available")  # fmt: skip


def _declining(text: str) -> bool:
    return (
        re.search(r"\bi(?:'m| am)? (?:can't|cannot|unable|not able|won't|will not|must decline)", text[:_OPENING_CHARS])
        is not None
    )


def _talk(case: Case) -> str:
    first = case.after.straight.lstrip()[:_OPENING_CHARS].lower().split("\n", maxsplit=1)[0]
    before = case.before.straight.lower()
    talks = any(first.startswith(start) or f" {start}" in first[:40] for start in phrases("meta"))
    about = any(phrase in first and phrase not in before for phrase in phrases("meta_objects"))
    return "talks about the task" if talks and about else ""


def _answered(case: Case) -> str:
    """Too little of the reply's content, or too much of another's."""
    before = content(case.before.tokens)
    after = content(case.after.tokens)
    if not before:
        return ""
    kept = len(before & after) / len(before)
    # Where pleasantries were left out, little is kept of much, but what is there comes from the reply.
    shortened = kept >= _SHORTENED_SHARE and len(before & after) >= _OWN_SHARE * len(after)
    if len(before) > _SMALL and kept < _KEPT_SHARE and not shortened:
        return f"is not the reply in other words: {kept:.0%} of its content words are there"
    if len(before) <= _SMALL and not before & after:
        return "is not the reply in other words: none of its content words is there"
    new = after - before - content(case.said.tokens)
    if len(new) > _NEW_WORDS and len(new) > _NEW_SHARE * len(after):
        return f"is not the reply in other words: {len(new)} of {len(after)} content words are new"
    return ""
