"""Conditions: in which contexts and belief levels each item is asked, and with which statement (METHOD section 5).

The default design asks every item in ten cells: the five belief levels x {none, one context rotated over the eight}.
With contexts listed in the document, every item is asked in every context listed.

Every choice is a function of (seed, task, category, id): items are put in a seeded order inside each category, and
contexts and statements are dealt along it. So the order in which items arrive changes nothing, an arm plays no part, a
statement is the same for every belief level of an item, and counts differ by at most one overall, per task and per
category.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from services.orchestrator.domain import datafiles
from services.orchestrator.domain.items import Item

CONTEXTS = (
    "none",
    "emotion:happy",
    "emotion:sad",
    "emotion:anger",
    "relation:close",
    "relation:up",
    "relation:down",
    "stakes:high",
    "stakes:low",
)
BELIEFS = ("none", "none_lead_in", "asserts_false", "denies_true", "asserts_true")


class Cell(NamedTuple):
    """A condition of one item. `statement` is the id of the statement put first; empty in context none."""

    context: str
    belief: str
    statement: str


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements file.

    Attributes:
        version: Number of the file's version.
        lead_in: The sentence that every belief level but none carries.
        texts: Statement by id.
        by_context: Ids by context.
    """

    version: int
    lead_in: str
    texts: dict[str, str]
    by_context: dict[str, tuple[str, ...]]


@cache
def statements() -> Statements:
    """The statements that ship with the project."""
    data = json.loads(datafiles.read("statements.json"))
    rows = data["statements"]
    return Statements(
        version=data["version"],
        lead_in=data["lead_in"],
        texts={row["id"]: row["text"] for row in rows},
        by_context={name: tuple(row["id"] for row in rows if row["context"] == name) for name in CONTEXTS[1:]},
    )


def assign(
    items: Sequence[Item], contexts: Sequence[str] | None, beliefs: Sequence[str] | None, seed: int
) -> list[tuple[Cell, ...]]:
    """The cells of each item, in the order of `items`; contexts outermost.

    Args:
        items: Items with distinct keys.
        contexts: Contexts to ask every item in; None: none and one context rotated over the eight.
        beliefs: Belief levels; None: all five.
        seed: Of the deal.

    Returns:
        One tuple per item. A belief that an item cannot carry is left out: asserts_false without a false answer, every
        belief but none for a harmful request (whatever `beliefs` says). An item with ready-made messages has the one
        cell none x none, also where the document lists other conditions: it is asked as it stands.
    """
    levels = BELIEFS if beliefs is None else tuple(beliefs)
    dealt = [item for item in items if not item.messages]
    given = _rotated(dealt, seed) if contexts is None else _crossed(dealt, contexts, seed)
    return [tuple(_cells(item, given.get(item.key, []), levels)) for item in items]


def carries(item: Item, belief: str) -> bool:
    """Whether an item can be asked at a belief level."""
    if item.kind == "harmful_request" or item.messages:
        return belief == "none"
    if belief == "asserts_false":
        return bool(item.false_answers)
    return bool(item.gold) or belief not in ("denies_true", "asserts_true")


def seeded_order(items: Sequence[Item], seed: int, purpose: str) -> list[Item]:
    """Items in an order that depends on seed, purpose and keys alone; categories of a task stay together."""

    def place(item: Item) -> tuple[str, str, bytes]:
        text = json.dumps([seed, purpose, item.task, item.id], ensure_ascii=False)
        return item.task, item.category, hashlib.sha256(text.encode()).digest()

    return sorted(items, key=place)


def _cells(item: Item, given: list[tuple[str, str]], levels: tuple[str, ...]) -> Iterator[Cell]:
    if item.messages:
        yield _cell("none", "none", "")
        return
    if item.kind == "harmful_request":
        levels = ("none",)
    for context, statement in given:
        for belief in levels:
            if carries(item, belief):
                yield _cell(context, belief, statement)


@cache
def _cell(context: str, belief: str, statement: str) -> Cell:
    """Of each cell there is one object, however many items are asked in it."""
    return Cell(context, belief, statement)


def _rotated(items: Sequence[Item], seed: int) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Context none, and a context dealt along the seeded order; each context deals its statements in turn."""
    names = _shuffled(CONTEXTS[1:], seed, "contexts")
    decks = {name: _shuffled(statements().by_context[name], seed, name) for name in names}
    given = {}
    for place, item in enumerate(seeded_order(items, seed, "rotation")):
        turn, name = place // len(names), names[place % len(names)]
        given[item.key] = [("none", ""), (name, decks[name][turn % len(decks[name])])]
    return given


def _crossed(items: Sequence[Item], contexts: Sequence[str], seed: int) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Every context for every item; each context deals its statements along an order of its own."""
    given: dict[tuple[str, str], list[tuple[str, str]]] = {item.key: [] for item in items}
    for name in contexts:
        deck = [""] if name == "none" else _shuffled(statements().by_context[name], seed, name)
        for place, item in enumerate(seeded_order(items, seed, name)):
            given[item.key].append((name, deck[place % len(deck)]))
    return given


def _shuffled(values: Sequence[str], seed: int, purpose: str) -> list[str]:
    return sorted(values, key=lambda value: hashlib.sha256(f"{seed}/{purpose}/{value}".encode()).digest())
