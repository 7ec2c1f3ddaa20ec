"""Steps and the order of conversations, as pure functions: a resumed job sees exactly what the unbroken one would.

Conversations form one endless stream, one shuffled pass after the other, cut into steps of `batch` without a remainder.
So every step has the same size, fractions of epochs are exact to a step, and the three ways of batching differ only in how a
step is laid out on the device, never in which conversations it holds: the gradients are the same but for rounding.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.trainer.domain.spec import CHECKPOINT_EPOCHS, Training

# Conversations on a device at once where the spec does not say.
MOST_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a job.

    Attributes:
        conversations: With a trained token.
        batch: Conversations in a step: the wish, or all when there are fewer.
        steps: In all.
        checkpoints: Step -> epoch at which an adapter is saved, rising; the last step is always one.
        warmup_steps: Steps with rising rate.
    """

    conversations: int
    batch: int
    steps: int
    checkpoints: dict[int, float]
    warmup_steps: int

    @property
    def steps_per_epoch(self) -> int:
        """Rounded up."""
        return math.ceil(self.conversations / self.batch)

    def epoch(self, step: int) -> float:
        """Passes over the data after a step."""
        return step * self.batch / self.conversations


def plan(training: Training, conversations: int) -> Plan:
    """The steps for a number of conversations (at least one)."""
    batch = min(training.batch_size, conversations)

    def step_of(epoch: float) -> int:
        return max(1, round(epoch * conversations / batch))

    steps = step_of(training.epochs)
    wanted = [epoch for epoch in training.checkpoint_epochs or CHECKPOINT_EPOCHS if epoch < training.epochs]
    return Plan(
        conversations=conversations,
        batch=batch,
        steps=steps,
        # Two epochs of one step, in a tiny set, are one checkpoint; the later epoch names it.
        checkpoints={step_of(epoch): epoch for epoch in sorted({*wanted, training.epochs})},
        warmup_steps=math.ceil(training.warmup * steps) if training.warmup else 0,
    )


def device_batch(wanted: int | None, batch: int, processes: int, most: int) -> int:
    """Conversations on one device at once: the wish, or the largest divisor of its share up to `most`."""
    share = max(1, batch // processes)
    limit = min(share, wanted if wanted is not None else most)
    return next(size for size in range(limit, 0, -1) if share % size == 0)


def order(lengths: Sequence[int], shape: Plan, seed: int, batching: str) -> Iterator[int]:
    """The conversation at each place of the stream, `steps * batch` of them.

    Args:
        lengths: Tokens of each conversation.
        shape: The job's steps.
        seed: Of the shuffles.
        batching: `group_by_length` sorts inside a step, longest first, so that what is padded together is alike (and a
            lack of memory shows early); the others leave the shuffled order.
    """
    stream = _shuffled(len(lengths), seed)
    for _ in range(shape.steps):
        step = [next(stream) for _ in range(shape.batch)]
        if batching == "group_by_length":
            step.sort(key=lambda index: -lengths[index])
        yield from step


def _shuffled(count: int, seed: int) -> Iterator[int]:
    epoch = 0
    while True:
        indices = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(indices)  # noqa: S311 -- a reproducible order, no secret
        yield from indices
        epoch += 1
