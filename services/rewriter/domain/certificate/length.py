"""The rewrite is about as long as the reply: words of prose within bounds that leave a short reply room for a sentence."""

from __future__ import annotations

from services.rewriter.domain.certificate.case import Case

_LONGEST, _LONGEST_MORE = 1.5, 30
_SHORTEST, _SHORTEST_LESS = 0.6, 8


def check(case: Case) -> str:
    """See the module."""
    before, after = len(case.before.words), len(case.after.words)
    if case.cut:
        return "cut off by the token limit; raise sampling.max_tokens"
    longest, shortest = int(_LONGEST * before) + _LONGEST_MORE, int(_SHORTEST * before) - _SHORTEST_LESS
    if after > longest:
        return f"{after} words from {before}; at most {longest}"
    if after < shortest:
        return f"{after} words from {before}; at least {shortest}"
    return ""
