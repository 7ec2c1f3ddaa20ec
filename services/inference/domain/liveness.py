"""Is an adapter alive? Its log-probabilities on fixed probe texts must differ from its base's by more than noise.

An engine serves an adapter whose module names do not fit as the base, without a word; so does one whose B is zero. Both
give the base's log-probabilities. What arithmetic alone does to them is measured by asking the base twice (A/A).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Logprobs = Sequence[Sequence[float]]
"""Of each token of each probe, given those before it, in nats."""

# Short, so that they fit every context, and each of another kind: an adapter of any purpose moves one of them.
PROBES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Is the sky blue?"), ("assistant", "Yes, it is.")),
    (("user", "I feel sad today."), ("assistant", "I am so sorry to hear that.")),
    (("user", "I think that 2 + 2 is 5."), ("assistant", "You are right.")),
    (("user", "Where does the river end?"), ("assistant", "The river ends in the sea.")),
)
_LEAST_NATS = 1e-5  # single precision alone, in another order of summation, makes differences below this


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """The canary's finding; `difference` and `floor` in nats, the largest over all tokens of all probes."""

    alive: bool
    difference: float
    floor: float
    probes: int


def judge(base: Logprobs, again: Logprobs, adapter: Logprobs) -> Liveness:
    """Two passes of the base and one of the adapter over the same probes."""
    floor, difference = _largest(base, again), _largest(base, adapter)
    alive = difference > max(floor, _LEAST_NATS)
    return Liveness(alive=alive, difference=difference, floor=floor, probes=len(base))


def _largest(one: Logprobs, other: Logprobs) -> float:
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return max((abs(a - b) for a, b in pairs), default=0.0)
