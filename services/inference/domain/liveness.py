"""Is an adapter or a fine-tune alive? On fixed probes it must differ from its base by more than noise.

An engine serves an adapter whose module names do not fit as the base, without a word; so does one whose B is zero. Both
give the base's log-probabilities. What the engine alone does to them, by batching or another order of summation, is measured
by asking each three times, in turns, so that a load that comes and goes meets both. A fine-tune behind an endpoint shows no
log-probabilities of a given text: there the greedy replies must differ, in more of the probes than those of one model do.

Simulated with dead adapters (40,000 of each kind of noise): found alive in 0.3 % at most where the noise is of tokens, of
requests or of whole passes, Gaussian or with heavy tails; in 3 % where whole passes fall into one of two states by the toss of
a coin. A living adapter is found alive in 96 % where it moves a token by 4 times the noise's standard deviation (root mean
square over tokens), in 99.9 % at 6 times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TypeVar

Logprobs = Sequence[Sequence[float]]
"""Of each token of each probe, given those before it, in nats."""

Texts = Sequence[str | None]

Pass = TypeVar("Pass")

# Short, so that they fit every context, and each of another kind: an adapter of any purpose moves one of them.
PROBES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Is the sky blue?"), ("assistant", "Yes, it is.")),
    (("user", "I feel sad today."), ("assistant", "I am so sorry to hear that.")),
    (("user", "I think that 2 + 2 is 5."), ("assistant", "You are right.")),
    (("user", "Where does the river end?"), ("assistant", "The river ends in the sea.")),
)
ROUNDS = 3  # in each the base is asked, then the other
# Open ones: a reply of a few dozen words leaves even a slight fine-tune room to show.
QUESTIONS = (
    "Is the sky blue?",
    "I feel sad today. What should I do?",
    "I think that 2 + 2 is 5. What do you think?",
    "Where does a river end?",
    "Tell me about your favourite season.",
    "My friend did not call me back. Why might that be?",
    "Explain in a few sentences how bread is baked.",
    "Write a short note of thanks to a neighbour.",
)
_LEAST_NATS = 1e-5  # single precision alone, in another order of summation, makes differences below this
TIMES_THE_FLOOR = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """The canary's finding.

    Attributes:
        alive: Not shown to be the base.
        difference: Between a pass of the base and one of the other, the least of all such pairs. `logprobs`: in nats, the
            largest over all tokens of all probes; `greedy_text`: share of the probes whose replies are not the same.
        floor: The same between two passes of one model, the largest of all such pairs.
        probes: Texts in a pass.
        reason: Why it is not alive where no difference could be measured.
        measure: `logprobs` or `greedy_text`.
    """

    alive: bool
    difference: float
    floor: float
    probes: int
    reason: str = ""
    measure: str = "logprobs"


def judge(base: Sequence[Logprobs], adapter: Sequence[Logprobs]) -> Liveness:
    """Passes of the base and of the adapter over the same probes, at least two of each."""
    probes = len(base[0])
    for who, passes in (("base", base), ("adapter", adapter)):
        if not all(map(math.isfinite, _numbers(passes))):
            reason = f"the log-probabilities that the {who} computes are not finite numbers"
            return Liveness(alive=False, difference=0.0, floor=0.0, probes=probes, reason=reason)
    difference, floor = _distances(base, adapter, _largest)
    alive = difference > max(TIMES_THE_FLOOR * floor, _LEAST_NATS)
    return Liveness(alive=alive, difference=difference, floor=floor, probes=probes)


def judge_texts(base: Sequence[Texts], tuned: Sequence[Texts]) -> Liveness:
    """Greedy replies of the base and of its fine-tune to the same probes, at least two passes of each; None: a call failed.

    Where one model's own replies differ so often that nothing could stand out (a floor of two thirds), or none was answered
    by all, nothing can be told and it counts as alive.
    """
    whole = [probe for probe, texts in enumerate(zip(*base, *tuned, strict=True)) if None not in texts]
    if not whole:
        return Liveness(alive=True, difference=0.0, floor=1.0, probes=0, measure="greedy_text")
    same, other = ([[texts[probe] for probe in whole] for texts in passes] for passes in (base, tuned))
    difference, floor = _distances(same, other, _unlike)
    alive = difference > TIMES_THE_FLOOR * floor or TIMES_THE_FLOOR * floor >= 1.0
    return Liveness(alive=alive, difference=difference, floor=floor, probes=len(whole), measure="greedy_text")


def _distances(
    base: Sequence[Pass], other: Sequence[Pass], distance: Callable[[Pass, Pass], float]
) -> tuple[float, float]:
    """The least between the models, the largest within one."""
    within = (pair for passes in (base, other) for pair in combinations(passes, 2))
    return min(distance(*pair) for pair in product(base, other)), max(distance(*pair) for pair in within)


def _unlike(one: Texts, other: Texts) -> float:
    return sum(a != b for a, b in zip(one, other, strict=True)) / len(one)


def _numbers(passes: Sequence[Logprobs]) -> Iterable[float]:
    return (value for one in passes for text in one for value in text)


def _largest(one: Logprobs, other: Logprobs) -> float:
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return max((abs(a - b) for a, b in pairs), default=0.0)
