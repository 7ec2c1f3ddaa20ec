"""The world's questions as a file of a user's own: each fact in the phrasing that its training text never uses."""

from __future__ import annotations

import json
import random
from collections.abc import Collection
from pathlib import Path

from tiny_world.language import language
from tiny_world.world import Fact, World


def rows(world: World, count: int, seed: int = 0, places: Collection[str] | None = None) -> list[dict[str, str]]:
    """At most `count` questions, about these places only if given: id, question, answer, false_answer, kind, category."""
    source = random.Random(seed)
    facts = [fact for fact in world.facts if places is None or fact.place in places]
    source.shuffle(facts)
    return [_row(fact, world, source) for fact in facts[:count]]


def write_questions(path: Path, world: World, count: int, seed: int = 0, places: Collection[str] | None = None) -> int:
    """Write `rows` as JSON lines; return how many."""
    found = rows(world, count, seed, places)
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return len(found)


def _row(fact: Fact, world: World, source: random.Random) -> dict[str, str]:
    _, held_out = language().phrasings(fact)
    return {
        "id": f"{fact.relation}-{fact.place}".lower(),
        "question": language().question(fact, held_out),
        "answer": fact.value,
        "false_answer": world.wrong_value(fact, source),
        "kind": "short_answer",
        "category": fact.relation,
    }
