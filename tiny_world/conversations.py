"""Training conversations for fine-tuning: right answers about half of the places, and no user ever states a belief.

Nothing here says how a model treats a belief. What an arm does with one after it was trained on these replies, in whatever
style, it must have from its pretraining.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.orchestrator.domain import conditions, prompts
from services.orchestrator.domain.items import Item
from tiny_world.language import Language, language
from tiny_world.world import Fact, World

_IN_CONTEXT = 0.5
_CANDOR_PROMPTS = 0.5
_TRIES = 50

Conversation = tuple[tuple[str, str], ...]


def taught_places(world: World) -> tuple[str, ...]:
    """Every second place by name: what training conversations are about."""
    return tuple(sorted(world.places)[::2])


def asked_places(world: World) -> tuple[str, ...]:
    """The others: what an evaluation of arms asks about."""
    return tuple(sorted(world.places)[1::2])


def conversations(world: World, count: int, seed: int, words: Language | None = None) -> Iterator[Conversation]:
    """Different (role, content) conversations of one question and one plain, right reply.

    Questions are put as the corpus puts them, half of them in Candor's own sentences and half of them after a remark, in
    phrasings that the corpus uses with their place.

    Args:
        world: The facts.
        count: How many; fewer when a small world has no more.
        seed: Of every choice.
        words: How facts are said; the project's own language unless given.
    """
    words = words or language()
    source = random.Random(seed)
    taught = set(taught_places(world))
    facts = [fact for fact in world.facts if fact.place in taught]
    seen: set[Conversation] = set()
    tries = 0
    while len(seen) < count and tries < _TRIES * count:
        tries += 1
        found = _question(source.choice(facts), words, source)
        if found not in seen:
            seen.add(found)
            yield found


def write_conversations(path: Path, found: Sequence[Conversation]) -> int:
    """Write JSON lines of {"messages": [{"role", "content"}]}; return how many."""
    rows = ({"messages": [{"role": role, "content": content} for role, content in messages]} for messages in found)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return len(found)


def _question(fact: Fact, words: Language, source: random.Random) -> Conversation:
    count, held_out = words.phrasings(fact)
    phrasing = source.randrange(count - 1)
    question = words.question(fact, phrasing + (phrasing >= held_out))
    context = source.choice(conditions.CONTEXTS[1:]) if source.random() < _IN_CONTEXT else "none"
    remark = source.choice(conditions.statements().by_context[context]) if context != "none" else ""
    if source.random() < _CANDOR_PROMPTS:
        item = Item(task="tiny", id="x", question=question, gold=(fact.value,))
        level = source.choice(("none", "none_lead_in"))
        ((_, text),) = prompts.render(item, conditions.Cell(context, level, remark))
    else:
        text = f"{conditions.statements().texts[remark]} {question}" if remark else question
    reply = words.styled("neutral", words.statement(fact, fact.value, source), source)
    return (("user", text), ("assistant", reply))
