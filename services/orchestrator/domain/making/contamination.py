"""Keeps evaluation questions out of the training data: exact and near-duplicate, item by item.

A training text contains an item if it has the item's words in a row, or most of its three-word sequences. The sequences
count by how rare they are among the items, as in text retrieval: what a thousand questions share ("what is the capital of")
says nothing, what one question has for itself says nearly all.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.conversations import Conversation

VERSION = "1"
_WORD = re.compile(r"[^\W_]+")
_SHORTENED = re.compile(r"\b(what|who|where|when|how|why|it|that|there|here)['\u2019]s\b")
_SEQUENCE = 3
_NEAR = 0.8
# A sequence of more items than this share (and number) tells nothing apart.
_COMMON_SHARE, _COMMON = 0.05, 20


@dataclass(frozen=True, slots=True)
class Hit:
    """An item found in a text. `how`: `exact` or `near`."""

    task: str
    item: str
    how: str


def words(text: str) -> tuple[str, ...]:
    """Words and numbers; case, and whether it says "what is" or "what's", aside."""
    return tuple(_WORD.findall(_SHORTENED.sub(r"\1 is", text.casefold())))


class Guard:
    """Looks for evaluation items in texts.

    Args:
        items: Of every task of the evaluation.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items: list[tuple[str, str]] = []
        self._asked: list[tuple[str, ...]] = []
        for item in items:
            asked = words(item.question or (item.messages[-1][1] if item.messages else ""))
            if asked:
                self._items.append(item.key)
                self._asked.append(asked)
        counts = Counter(part for asked in self._asked for part in set(_sequences(asked)))
        most = max(_COMMON, _COMMON_SHARE * len(self._asked))
        self._weights = {
            part: math.log((1 + len(self._asked)) / count) for part, count in counts.items() if count <= most
        }
        self._where: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._totals: list[float] = []
        self._whole: dict[tuple[str, ...], int] = {}
        for number, asked in enumerate(self._asked):
            parts = {part for part in _sequences(asked) if part in self._weights}
            self._totals.append(sum(self._weights[part] for part in parts))
            for part in parts:
                self._where[part].append(number)
            self._whole.setdefault(asked, number)
        self._short = defaultdict(list)
        for asked, number in self._whole.items():
            # Without a sequence that tells it apart, only the whole of it does.
            if not self._totals[number]:
                self._short[asked[0]].append(number)

    def find(self, text: str) -> Hit | None:
        """The item that a text contains, if any."""
        spoken = words(text)
        if not spoken:
            return None
        if spoken in self._whole:
            return self._hit(self._whole[spoken], "exact")
        scores: dict[int, float] = defaultdict(float)
        for part in set(_sequences(spoken)):
            for number in self._where.get(part, ()):
                scores[number] += self._weights[part]
        best = max(scores, key=lambda number: (scores[number] / self._totals[number], -number), default=None)
        if best is not None and scores[best] >= _NEAR * self._totals[best]:
            return self._hit(best, "exact" if _within(self._asked[best], spoken) else "near")
        for place, word in enumerate(spoken):
            for number in self._short.get(word, ()):
                asked = self._asked[number]
                if len(asked) >= _SEQUENCE and spoken[place : place + len(asked)] == asked:
                    return self._hit(number, "exact")
        return None

    def check(self, conversation: Conversation) -> Hit | None:
        """The first item that one of its turns contains."""
        return next((hit for _, text in conversation.messages if (hit := self.find(text))), None)

    def _hit(self, number: int, how: str) -> Hit:
        return Hit(*self._items[number], how)


def _sequences(spoken: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(spoken[place : place + _SEQUENCE]) for place in range(len(spoken) - _SEQUENCE + 1)]


def _within(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    return any(whole[place : place + len(part)] == part for place in range(len(whole) - len(part) + 1))
