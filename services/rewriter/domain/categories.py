"""What a conversation is about, by the first rule of METHOD section 2 that matches.

The rules look at the first user turn and the first reply. Their words are a data file; unlike substrings, `story` does not match
`history`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from services.rewriter.domain import data
from services.rewriter.domain.values import Turn

CATEGORIES = ("refusal", "factual", "creative", "technical", "advice", "other")


class _Rule(NamedTuple):
    category: str
    start: re.Pattern[str] | None
    asked: re.Pattern[str] | None
    reply: str


def of(turns: Sequence[Turn]) -> str:
    """The category of a conversation."""
    asked = next((turn.content for turn in turns if turn.role == "user"), "").strip()
    reply = next((turn.content for turn in turns if turn.role == "assistant"), "")
    straight = reply.replace("\u2019", "'")
    refusals, rules = _rules()
    if any(phrase in straight for phrase in refusals):
        return "refusal"
    for rule in rules:
        if (
            (rule.start and rule.start.match(asked))
            or (rule.asked and rule.asked.search(asked))
            or (rule.reply and rule.reply in reply)
        ):
            return rule.category
    return "other"


@cache
def _rules() -> tuple[tuple[str, ...], tuple[_Rule, ...]]:
    table = data.table("categories.json")

    def pattern(text: str | None) -> re.Pattern[str] | None:
        return re.compile(text, re.IGNORECASE) if text else None

    rules = tuple(
        _Rule(rule["category"], pattern(rule.get("start")), pattern(rule.get("asked")), rule.get("reply", ""))
        for rule in table["rules"]
    )
    return tuple(table["refusal"]), rules
