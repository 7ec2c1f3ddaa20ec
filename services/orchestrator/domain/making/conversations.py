"""Conversations for training, and the seeded sample of them that fits in memory however large the file is."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.orchestrator.domain.recipe import CATEGORIES

Messages = tuple[tuple[str, str], ...]
ANY = "any"
# Drawn beside what is wanted: toxic and contaminated ones fall away.
_SPARE_SHARE, _SPARE = 0.5, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Turns in order; the last is an assistant's.

    Attributes:
        id: Its own, or of its row.
        row: Position in the file, from 0.
        messages: (role, content).
        category: One of CATEGORIES.
        cut_turns: Turns that were cut.
    """

    id: str
    row: int
    messages: Messages
    category: str
    cut_turns: int = 0

    @property
    def replies(self) -> tuple[int, ...]:
        """Positions of the assistant's turns."""
        return tuple(place for place, (role, _) in enumerate(self.messages) if role == "assistant")

    @property
    def opening(self) -> Messages:
        """The conversation up to the first question, which it includes: a prompt."""
        first = next(place for place, (role, _) in enumerate(self.messages) if role == "user")
        return self.messages[: first + 1]

    def digest(self) -> bytes:
        """SHA-256 of the turns."""
        return hashlib.sha256(json.dumps(self.messages, ensure_ascii=False).encode()).digest()

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the turns as a training file has them."""
        return {
            "id": self.id,
            "row": self.row,
            "category": self.category,
            "cut_turns": self.cut_turns,
            "messages": [{"role": role, "content": content} for role, content in self.messages],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Conversation:
        """The inverse of `to_json`."""
        messages = tuple((turn["role"], turn["content"]) for turn in value["messages"])
        return cls(**{**value, "messages": messages})


def quotas(total: int, *, balanced: bool) -> dict[str, int]:
    """How many conversations of each category; equal, the first ones one more where it does not divide."""
    if not balanced:
        return {ANY: total}
    each, more = divmod(total, len(CATEGORIES))
    return {category: each + (place < more) for place, category in enumerate(CATEGORIES)}


def stratum_of(conversation: Conversation, wanted: Mapping[str, int]) -> str:
    """The name under which a conversation counts among quotas."""
    return ANY if ANY in wanted else conversation.category


@dataclass(slots=True)
class Reservoir:
    """Keeps a seeded random sample of each category as conversations go by.

    Each conversation has a place in a random order that follows from the seed and its text alone, and the first ones of
    each category are kept. So the sample is the same whatever the order of the file, a doubled conversation counts once,
    and memory is bounded by the sample.
    """

    wanted: dict[str, int]
    seed: int
    seen: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    cut: int = 0
    _heaps: dict[str, list[tuple[int, int, Conversation]]] = field(default_factory=dict)
    _places: dict[str, set[int]] = field(default_factory=dict)

    def offer(self, conversation: Conversation) -> None:
        """A conversation goes by."""
        self.seen[conversation.category] += 1
        self.cut += conversation.cut_turns > 0
        stratum = stratum_of(conversation, self.wanted)
        wanted = self.wanted.get(stratum, 0)
        if not wanted:
            return
        most = wanted + int(wanted * _SPARE_SHARE) + _SPARE
        heap = self._heaps.setdefault(stratum, [])
        places = self._places.setdefault(stratum, set())
        place = _place(self.seed, conversation)
        if place in places:
            self.doubled += 1
            return
        entry = (-place, conversation.row, conversation)
        if len(heap) < most:
            heapq.heappush(heap, entry)
            places.add(place)
        elif place < -heap[0][0]:
            gone = heapq.heapreplace(heap, entry)
            places.discard(-gone[0])
            places.add(place)

    def sample(self) -> dict[str, list[Conversation]]:
        """What was kept, each category in its random order."""
        return {
            stratum: [conversation for _, _, conversation in sorted(heap, key=lambda entry: -entry[0])]
            for stratum, heap in sorted(self._heaps.items())
        }


def _place(seed: int, conversation: Conversation) -> int:
    digest = hashlib.sha256(seed.to_bytes(8, "big", signed=True) + conversation.digest()).digest()
    return int.from_bytes(digest[:16], "big")


def split(
    accepted: Mapping[str, Sequence[Conversation]], train: Mapping[str, int], validation: Mapping[str, int]
) -> tuple[list[Conversation], list[Conversation]]:
    """Conversations to train on, and those whose openings become validation prompts; disjoint, also in their prompts.

    Where a category has too few, both take their share of what there is. A prompt that is asked already is passed over for
    the next conversation of its category.
    """
    training: list[Conversation] = []
    rest: list[tuple[int, Sequence[Conversation]]] = []
    for stratum, conversations in accepted.items():
        wanted, held_out = train.get(stratum, 0), validation.get(stratum, 0)
        there = min(len(conversations), wanted + held_out)
        taken = there * wanted // (wanted + held_out) if there < wanted + held_out else wanted
        training += conversations[:taken]
        rest.append((held_out, conversations[taken:]))
    asked = {_normal(content) for each in training for role, content in each.messages if role == "user"}
    prompts: list[Conversation] = []
    for held_out, conversations in rest:
        most = len(prompts) + held_out
        for each in conversations:
            question = _normal(each.opening[-1][1])
            if len(prompts) < most and question not in asked:
                asked.add(question)
                prompts.append(each)
    return training, prompts


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())


def lines(conversations: Sequence[Conversation]) -> bytes:
    """As JSON lines."""
    return "".join(json.dumps(each.to_json(), ensure_ascii=False) + "\n" for each in conversations).encode()


def from_lines(data: bytes) -> list[Conversation]:
    """The inverse of `lines`."""
    return [Conversation.from_json(json.loads(line)) for line in data.decode().split("\n") if line]
