"""Which words a text writes small: those that may be small after `I think that` too, unlike names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_INNER_WORD = re.compile(r"(?<=[a-z,] )[A-Za-z]+")


def common_words(texts: Iterable[str]) -> frozenset[str]:
    """Words, in small letters, that stand small inside sentences more often than with a capital."""
    small: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for text in texts:
        for word in _INNER_WORD.findall(text):
            (small if word.islower() else capital)[word.lower()] += 1
    return frozenset(word for word, count in small.items() if count > capital[word])
