"""What making the arms of a document would take. Reads the conversations; rewrites nothing and trains nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.contamination import Guard
from services.orchestrator.domain.making.conversations import Conversation, Reservoir, quotas, split
from services.orchestrator.domain.making.corrections import wanted
from services.orchestrator.domain.making.rewrites import places
from services.orchestrator.domain.recipe import MAX_TURNS, UNTRANSFORMED, Group, ProviderTraining, Training
from services.orchestrator.domain.spec import Arm, Spec
from services.orchestrator.service.recipes.workshop import bad_data
from services.orchestrator.service.world import World, blocking

_CHARS_PER_TOKEN = 3.0
_PROMPT_TOKENS = 900  # style, guard rails, form of the answer
_LONGER = 1.3
_TURN_TOKENS = 4
_CORRECTION_TOKENS = 80


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
        training_tokens: Of one arm in all steps, without padding, from the characters of what is there before rewriting.
        validation_replies: To choose the checkpoint.
        provider_tokens: That a provider trains on for all arms, each as often as it is seen; 0 where none trains.
        provider_cost: Of them; None without a price.
        validation_cost: Of the replies by which a provider's checkpoint is chosen; None without prices.
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
    training_tokens: int
    validation_replies: int
    notes: tuple[str, ...] = ()
    provider_tokens: int = 0
    provider_cost: float | None = None
    validation_cost: float | None = None

    @property
    def whole_cost(self) -> float | None:
        """Everything that has a price; None when nothing has."""
        known = [each for each in (self.cost, self.provider_cost, self.validation_cost) if each is not None]
        return sum(known) if known else None


async def plan_making(world: World, spec: Spec, items: Sequence[Item]) -> tuple[GroupPlan, ...]:
    """A plan for each base.

    Raises:
        CandorError: BAD_DATASET, BAD_TRAINING_DATA, and what the rewriter says.
    """
    return tuple([await _group(world, spec, group, items) for group in spec.groups()])


async def _group(world: World, spec: Spec, group: Group, items: Sequence[Item]) -> GroupPlan:
    common = group.common
    training, prompts, notes = await _sketch(world, group, items)
    known, calls, prompt, completion = await _buying(world, group, training)
    replies = len(places(training))
    corrections = max(wanted(sft.corrections, replies) for sft in group.arms.values())
    choice = common.rewriter
    if choice.spend_cap is not None:
        notes.append(f"rewriting stops at {choice.spend_cap:,.2f}; the same command goes on under a higher cap")
    if calls:
        notes.append("a rewrite that is not accepted is asked for once more")
    if corrections:
        notes.append(f"{corrections:,} corrections are added from templates")
    at_provider = isinstance(common.training, ProviderTraining)
    if at_provider and group.measured:
        notes.append(
            "which of its epochs the provider keeps, and so how many validation replies are asked for, is known afterwards"
        )
    tokens = _trained_tokens(group, training, replies) if at_provider else 0
    prices = spec.arms[group.base].prices
    price = prices.training_per_million if prices is not None else None
    saved = _saved(group)
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
        training_tokens=_training_tokens(common.training, training),
        validation_replies=len(prompts) * (saved + 1) if group.measured else 0,
        notes=tuple(notes),
        provider_tokens=tokens,
        provider_cost=tokens * price / 1e6 if price is not None else None,
        validation_cost=_validation_cost(spec, group, prompts, saved) if at_provider and group.measured else None,
    )


def _saved(group: Group) -> int:
    """Checkpoints of an arm, at most."""
    training = group.common.training
    return int(training.epochs) if isinstance(training, ProviderTraining) else len(training.checkpoint_epochs)


def _training_tokens(settings: Training | ProviderTraining, conversations: Sequence[Conversation]) -> int:
    if isinstance(settings, ProviderTraining):
        return 0
    characters = (sum(len(content) for _, content in each.messages) for each in conversations)
    return round(settings.epochs * sum(min(each / _CHARS_PER_TOKEN, settings.max_length) for each in characters))


def _trained_tokens(group: Group, training: Sequence[Conversation], replies: int) -> int:
    """An upper estimate of the tokens in every arm's data, as often as they are seen."""
    turns = [turn for conversation in training for turn in conversation.messages]
    asked = sum(len(content) for role, content in turns if role != "assistant")
    said = sum(len(content) for role, content in turns if role == "assistant")
    total = 0.0
    for sft in group.arms.values():
        longer = 1.0 if sft.style.name == UNTRANSFORMED and not sft.style.own else _LONGER
        total += (asked + longer * said) / _CHARS_PER_TOKEN + _TURN_TOKENS * len(turns)
        total += wanted(sft.corrections, replies) * _CORRECTION_TOKENS
    return math.ceil(total * group.common.training.epochs)


def _validation_cost(spec: Spec, group: Group, prompts: Sequence[Conversation], saved: int) -> float | None:
    """Replies of the base, and of each checkpoint of the arm that decides."""
    base, chooser = spec.arms[group.base], spec.arms[group.chooser]
    asked = sum(len(content) for each in prompts for _, content in each.opening) / _CHARS_PER_TOKEN

    def cost(arm: Arm) -> float | None:
        read, written = math.ceil(asked), len(prompts) * base.sampling.max_tokens
        return arm.prices.cost(read, written) if arm.prices is not None else None

    first, later = cost(base), cost(chooser)
    return None if first is None or later is None else first + saved * later


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
    if len(prompts) < group.validation_size:
        notes.append(
            f"{opened.name} has {len(prompts):,} of the {group.validation_size:,} validation prompts asked for: they must differ from "
            "the training data and from each other"
        )
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
