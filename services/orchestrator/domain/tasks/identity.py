"""Ids for rows of datasets that have none: from their content, so that neither order nor selection changes them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence


def content_id(*parts: str) -> str:
    """Twelve hexadecimal digits of the parts."""
    return hashlib.sha256("\x00".join(parts).encode(errors="replace")).hexdigest()[:12]


def draw(seed: int, key: str, values: Sequence[str]) -> str:
    """One of the values, seeded; whatever their order. The value with the least digest wins."""
    return min(values, key=lambda value: hashlib.sha256(f"{seed}\x00{key}\x00{value}".encode()).digest())


class Ids:
    """Distinct ids: a repeated one gets a number behind it."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def distinct(self, identity: str) -> str:
        """The id, or the id with `-2`, `-3` and so on when it was given before."""
        self._seen[identity] += 1
        count = self._seen[identity]
        return identity if count == 1 else f"{identity}-{count}"
