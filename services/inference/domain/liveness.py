"""Is an adapter alive? Its log-probabilities on fixed probe texts must differ from its base's by more than noise.

An engine serves an adapter whose module names do not fit as the base, without a word; so does one whose B is zero. Both
give the base's log-probabilities. What the engine alone does to them, by batching or another order of summation, is measured
by asking each three times, in turns, so that a load that comes and goes meets both.

Simulated with dead adapters (40,000 of each kind of noise): found alive in 0.3 % at most where the noise is of tokens, of
requests or of whole passes, Gaussian or with heavy tails; in 3 % where whole passes fall into one of two states by the toss of
a coin. A living adapter is found alive in 96 % where it moves a token by 4 times the noise's standard deviation (root mean
square over tokens), in all of 4,000 at 6 times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

Logprobs = Sequence[Sequence[float]]
"""Of each token of each probe, given those before it, in nats."""

# Short, so that they fit every context, and each of another kind: an adapter of any purpose moves one of them.
PROBES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Is the sky blue?"), ("assistant", "Yes, it is.")),
    (("user", "I feel sad today."), ("assistant", "I am so sorry to hear that.")),
    (("user", "I think that 2 + 2 is 5."), ("assistant", "You are right.")),
    (("user", "Where does the river end?"), ("assistant", "The river ends in the sea.")),
)
ROUNDS = 3  # in each the base is asked, then the adapter
_LEAST_NATS = 1e-5  # single precision alone, in another order of summation, makes differences below this
_TIMES_THE_FLOOR = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """The canary's finding.

    Attributes:
        difference: Between a pass of the base and one of the adapter, the least of all such pairs; in nats, the largest
            over all tokens of all probes.
        floor: The same between two passes of one model, the largest of all such pairs.
        probes: Texts in a pass.
        reason: Why it is not alive where no difference could be measured.
    """

    alive: bool
    difference: float
    floor: float
    probes: int
    reason: str = ""


def judge(base: Sequence[Logprobs], adapter: Sequence[Logprobs]) -> Liveness:
    """Passes of the base and of the adapter over the same probes, at least two of each."""
    probes = len(base[0])
    for who, passes in (("base", base), ("adapter", adapter)):
        if not all(map(math.isfinite, _numbers(passes))):
            reason = f"the log-probabilities that the {who} computes are not finite numbers"
            return Liveness(alive=False, difference=0.0, floor=0.0, probes=probes, reason=reason)
    floor = max(_largest(*pair) for passes in (base, adapter) for pair in combinations(passes, 2))
    difference = min(_largest(*pair) for pair in product(base, adapter))
    alive = difference > max(_TIMES_THE_FLOOR * floor, _LEAST_NATS)
    return Liveness(alive=alive, difference=difference, floor=floor, probes=probes)


def _numbers(passes: Sequence[Logprobs]) -> Iterable[float]:
    return (value for one in passes for text in one for value in text)


def _largest(one: Logprobs, other: Logprobs) -> float:
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return max((abs(a - b) for a, b in pairs), default=0.0)
