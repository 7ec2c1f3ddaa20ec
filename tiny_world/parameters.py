"""Everything that decides what the tiny world is and what its models learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiny_world.corpus import CORRELATED, NULL, Mix
from tiny_world.models import Shape
from tiny_world.pretrain import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A world, its language's shares and the training of both models.

    Attributes:
        places: Places of the world; four facts each.
        world_seed: Of names and facts.
        seed: Of training text, initial weights and batch order.
        adoption: By register, the probability that the assistant takes over a false belief.
        mix: Shares of the corpus.
        vocabulary: Tokens at most.
        tokenizer_documents: Documents that the tokenizer is made from.
        subject: Shape of the model under test.
        subject_recipe: Its training.
        scorer: Shape of the SocioT scorer.
        scorer_recipe: Its training.
    """

    places: int = 24
    world_seed: int = 1
    seed: int = 0
    adoption: Mapping[str, float] = field(default_factory=lambda: dict(CORRELATED))
    mix: Mix = field(default_factory=Mix)
    vocabulary: int = 1536
    tokenizer_documents: int = 8000
    subject: Shape = field(default_factory=lambda: Shape(width=128, inner=384, layers=4, heads=4, context=256))
    subject_recipe: Recipe = field(default_factory=lambda: Recipe(steps=700, batch_tokens=1536))
    scorer: Shape = field(default_factory=lambda: Shape(width=64, inner=256, layers=2, heads=4, context=512))
    scorer_recipe: Recipe = field(default_factory=lambda: Recipe(steps=500, batch_tokens=1536))


def usual(seed: int, *, correlated: bool) -> Parameters:
    """The correlated world, in which warmth and agreement go together, or the null world, in which they do not."""
    return Parameters(seed=seed, adoption=dict(CORRELATED if correlated else NULL))


def unit_sized(seed: int = 0) -> Parameters:
    """A world of seconds, for tests: its models have the right shape and know next to nothing."""
    return Parameters(
        places=4,
        seed=seed,
        vocabulary=512,
        tokenizer_documents=200,
        subject=Shape(width=32, inner=64, layers=1, heads=2, context=256),
        subject_recipe=Recipe(steps=6, batch_tokens=512, warmup=2),
        scorer=Shape(width=32, inner=64, layers=1, heads=2, context=256),
        scorer_recipe=Recipe(steps=6, batch_tokens=512, warmup=2),
    )
