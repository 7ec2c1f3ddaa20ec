"""Quoted spans survive to the letter; no quotation is made up."""

from __future__ import annotations

import re

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import Text, joined, listed
from services.rewriter.domain.spans import BLOCK_QUOTE, QUOTE

_LONG_WORDS = 3


def check(case: Case) -> str:
    """Long quotations must stay whole; one or two words in quotes may lose their marks, not their words."""
    before, after, said = _flat(case.before), _flat(case.after), _flat(case.said)
    lost = [quote for quote in _quotes(case.before) if _plain(quote) and _plain(quote) not in after]
    added = [
        quote
        for quote in _quotes(case.after)
        if len(quote.split()) >= _LONG_WORDS and _plain(quote) not in before and _plain(quote) not in said
    ]
    return joined(listed(lost, "lost"), listed(added, "made up"))


def _quotes(text: Text) -> list[str]:
    outside = text.outside_code
    found = [match[0][1:-1] for match in QUOTE.finditer(outside)]
    found += [match[0].strip().lstrip("> ") for match in BLOCK_QUOTE.finditer(outside)]
    return found


def _plain(text: str) -> str:
    return re.sub(r"[\s*_]+", " ", text).strip(" .,;:!?>").lower()


def _flat(text: Text) -> str:
    """With and without its code: a quotation may hold some."""
    return "\n".join(
        _plain(re.sub(r"^[ \t]*>[ \t]?", "", one, flags=re.MULTILINE)) for one in (text.straight, text.outside_code)
    )
