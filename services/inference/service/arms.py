"""Counts by arm. Label values are bounded: the first digests that were seen, and `other` for the rest."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from services.inference.domain.identity import Identity

_MOST_ARMS = 64
_DIGITS = 12


class ArmCounts:
    """Items and tokens by the identity that answered; engines that serve several arms count them as one.

    Args:
        registry: Where the counters are exposed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._arms: set[str] = set()
        self._items = Counter("candor_arm_items", "Finished items by arm.", ["arm", "outcome"], registry=registry)
        self._tokens = Counter("candor_arm_tokens", "Tokens by arm.", ["arm", "kind"], registry=registry)

    def count(self, identity: Identity, outcome: str, tokens: dict[str, int]) -> None:
        """One finished item; `tokens` by kind."""
        arm = self._label(identity)
        self._items.labels(arm, outcome).inc()
        for kind, number in tokens.items():
            self._tokens.labels(arm, kind).inc(number)

    def _label(self, identity: Identity) -> str:
        arm = identity.digest.removeprefix("sha256:")[:_DIGITS]
        if arm not in self._arms:
            if len(self._arms) >= _MOST_ARMS:
                return "other"
            self._arms.add(arm)
        return arm
