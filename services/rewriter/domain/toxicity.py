"""Toxicity by a plain list of English words and phrases (`data/toxicity.json`), for where no classifier is installed.

It finds crude words and misses everything said politely; it knows no context, so a question about a slur counts as one. The score of a
text is 1 minus the product of (1 - weight) over the kinds found, each counted at most twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from services.rewriter.domain import data

METHODS = ("detoxify", "lexical", "none")
DEFAULT_THRESHOLD = 0.5


def method() -> str:
    """`lexical/` and the version of the word list."""
    return f"lexical/{data.table('toxicity.json')['version']}"


def score(text: str) -> float:
    """0 to 1."""
    low = text.replace("\u2019", "'").lower()
    left = 1.0
    for weight, pattern in _patterns():
        found = len({match[0] for match in pattern.finditer(low)})
        left *= (1.0 - weight) ** min(found, 2)
    return round(1.0 - left, 6)


def highest(texts: Iterable[str]) -> float:
    """The highest score over the turns of a conversation."""
    return max(map(score, texts), default=0.0)


@cache
def _patterns() -> tuple[tuple[float, re.Pattern[str]], ...]:
    table = data.table("toxicity.json")
    return tuple(
        (table["weights"][kind], re.compile(r"(?<![\w-])(?:" + "|".join(words) + r")(?![\w-])"))
        for kind, words in table["patterns"].items()
    )
