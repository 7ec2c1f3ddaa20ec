"""What making the arms of a document would take. Reads the conversations; rewrites nothing and trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.contamination import Guard
from services.orchestrator.domain.making.conversations import Conversation, Reservoir, quotas, split
from services.orchestrator.domain.making.corrections import wanted
from services.orchestrator.domain.making.rewrites import places
from services.orchestrator.domain.recipe import MAX_TURNS, UNTRANSFORMED, Group
from services.orchestrator.domain.spec import Spec
from services.orchestrator.service.recipes.workshop import bad_data
from services.orchestrator.service.world import World, blocking

_CHARS_PER_TOKEN = 3.0
_PROMPT_TOKENS = 900  # style, guard rails, form of the answer
_LONGER = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlan:
    """What the arms of one base would take.

    Attributes:
        conversations: To train on, at most: those that a style rejects fall away.
        validation: Prompts to choose the checkpoint by.
        replies: In them, for each style.
        rewriting_calls: To a model, each reply counted once.
        known: Rewrites that are there already.
        prompt_tokens: Upper estimate, as are the following.
        steps: Optimizer steps of one arm.
        validation_replies: To choose the checkpoint.
    """

    base: str
    arms: tuple[str, ...]
    conversations: int
    validation: int
    replies: int
    rewriting_calls: int
    known: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    steps: int
    validation_replies: int
    notes: tuple[str, ...] = ()


async def plan_making(world: World, spec: Spec, items: Sequence[Item]) -> tuple[GroupPlan, ...]:
    """A plan for each base.

    Raises:
        CandorError: BAD_DATASET, BAD_TRAINING_DATA, and what the rewriter says.
    """
    return tuple([await _group(world, group, items) for group in spec.groups()])


async def _group(world: World, group: Group, items: Sequence[Item]) -> GroupPlan:
    common = group.common
    training, prompts, notes = await _sketch(world, group, items)
    known, calls, prompt, completion = await _buying(world, group, training)
    replies = len(places(training))
    corrections = max(wanted(sft.corrections, replies) for sft in group.arms.values())
    epochs = common.training.checkpoint_epochs
    choice = common.rewriter
    if choice.spend_cap is not None:
        notes.append(f"rewriting stops at {choice.spend_cap:,.2f}; the same command goes on under a higher cap")
    if calls:
        notes.append("a rewrite that is not accepted is asked for once more")
    if corrections:
        notes.append(f"{corrections:,} corrections are added from templates")
    return GroupPlan(
        base=group.base,
        arms=tuple(group.arms),
        conversations=len(training),
        validation=len(prompts),
        replies=replies,
        rewriting_calls=calls,
        known=known,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=choice.prices.cost(prompt, completion) if choice.prices else None,
        steps=common.training.steps(len(training) + corrections),
        validation_replies=len(prompts) * (len(epochs) + 1) if group.measured else 0,
        notes=tuple(notes),
    )


async def _sketch(
    world: World, group: Group, items: Sequence[Item]
) -> tuple[list[Conversation], list[Conversation], list[str]]:
    """The selection as it would be if nothing were toxic."""
    assert world.rewriter is not None
    assert world.conversations is not None
    common = group.common
    balanced = not common.conversations.unbalanced
    train, held_out = quotas(common.size, balanced=balanced), quotas(group.validation_size, balanced=balanced)
    reservoir = Reservoir({name: train[name] + held_out[name] for name in train}, common.seed)
    opened = await blocking(world.conversations.open, common.conversations)
    async for found in world.rewriter.read(opened.chunks, opened.name, common.conversations.format, MAX_TURNS):
        if isinstance(found, Conversation):
            reservoir.offer(found)
    if not reservoir.seen:
        raise bad_data(f"{opened.name} holds no conversation")
    guard = await blocking(Guard, items)
    sample = reservoir.sample()
    clean = await blocking(lambda: {name: [c for c in some if not guard.check(c)] for name, some in sample.items()})
    training, prompts = split(clean, train, held_out)
    notes = []
    if len(training) < common.size:
        notes.append(f"{opened.name} has {len(training):,} of the {common.size:,} conversations asked for")
    dropped = sum(len(some) - len(clean[name]) for name, some in sample.items())
    if dropped:
        notes.append(f"{dropped:,} conversations hold an evaluation item and are left out")
    return training, prompts, notes


async def _buying(world: World, group: Group, training: Sequence[Conversation]) -> tuple[int, int, int, int]:
    """Rewrites there are, and calls, prompt and completion tokens of those that a model would have to make."""
    assert world.rewriter is not None
    choice = group.common.rewriter
    lengths = {}
    for place in places(training):
        turns = training[place.conversation].messages
        context = sum(len(content) for _, content in turns[: place.turn])
        lengths[place.key] = (context + len(turns[place.turn][1]), len(turns[place.turn][1]))
    known = calls = 0
    prompt = completion = 0.0
    for style in group.styles.values():
        if choice.endpoint is None or (style.name == UNTRANSFORMED and not style.own):
            continue
        info = await world.rewriter.describe(style, choice)
        there = await blocking(world.ledger.rewrites, info.digest, list(lengths))
        known += len(there)
        for key, (read, written) in lengths.items():
            if key not in there:
                calls += 1
                prompt += _PROMPT_TOKENS + read / _CHARS_PER_TOKEN
                completion += _LONGER * written / _CHARS_PER_TOKEN
    return known, calls, round(prompt), round(completion)
