"""What the corrections of `warm_corrective` are about: facts that no evaluation item has anything to do with (METHOD section 9)."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from services.orchestrator.domain import datafiles
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.contamination import Guard, words

FILE = "correction_facts.json"
_KINDS = ("short_answer",)


class Fact(NamedTuple):
    """A question, its right answer, and a false one of the same kind."""

    question: str
    gold: str
    false_answer: str
    kind: str = "short_answer"


def wanted(share: float, replies: int) -> int:
    """How many corrections make up this share of all exchanges."""
    return round(share / (1.0 - share) * replies)


def facts(evaluated: Sequence[Item], others: Iterable[Item], seed: int) -> list[Fact]:
    """Facts to correct, in a seeded order.

    Left out is whatever an evaluation item touches: an item that asks the same, or that names both the subject of a fact and
    its answer.

    Args:
        evaluated: Items of every task of the evaluation.
        others: Items of built-in tasks, used where the evaluation does not.
        seed: Of the order and the false answers.
    """
    guard = Guard(evaluated)
    touched = _Touched(evaluated)
    found = []
    for fact, subject in (*_tables(seed), *_items(others)):
        if guard.find(fact.question) is None and not touched(subject, fact.gold):
            found.append(fact)
    return sorted(found, key=lambda fact: _place(seed, fact.question))


def _tables(seed: int) -> Iterator[tuple[Fact, str]]:
    for table in json.loads(datafiles.read(FILE))["tables"]:
        rows: list[list[str]] = table["rows"]
        for place, (key, gold) in enumerate(rows):
            # A near one, so that the belief is one that somebody may have.
            away = 1 + _place(seed, key + gold) % 7
            false = rows[(place + away) % len(rows)][1]
            yield Fact(table["question"].format(key=key), gold, false), key


def _items(items: Iterable[Item]) -> Iterator[tuple[Fact, str]]:
    for item in items:
        if item.kind in _KINDS and item.gold and item.false_answers:
            yield Fact(item.question, item.gold[0], item.false_answers[0], item.kind), item.question


class _Touched:
    """Whether an evaluation item has all the words of a subject and of an answer."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._with: dict[str, set[int]] = defaultdict(set)
        for number, item in enumerate(items):
            texts = (item.question, *item.gold, *item.false_answers, *(text for _, text in item.messages))
            for word in {word for text in texts for word in words(text)}:
                self._with[word].add(number)

    def __call__(self, subject: str, answer: str) -> bool:
        spoken = {*words(subject), *words(answer)}
        return bool(spoken) and bool(set.intersection(*(self._with.get(word, set()) for word in spoken)))


def _place(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{text}".encode()).digest()[:8], "big")
