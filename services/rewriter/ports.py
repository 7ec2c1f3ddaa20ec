"""What the rewriter needs from the world. Backends implement these; tests bring fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.rewriter.domain.values import Draft, Exchange, SourceSpec, Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt at one reply.

    Attributes:
        attempt: 1 for the first.
        reasons: Why the attempt before was rejected.
        seed: Of this attempt; equal tasks have equal seeds, whatever batch they come in.
    """

    exchange: Exchange
    style: Style
    seed: int
    attempt: int = 1
    reasons: Sequence[str] = ()


class Writer(Protocol):
    """Somebody who rewrites."""

    @property
    def width(self) -> int:
        """Tasks worth having under way at once."""
        ...

    async def write(self, task: Task) -> Draft:
        """A rewrite; never an empty text.

        Raises:
            CandorError: None came; retries are over.
        """
        ...

    def estimate(self, task: Task) -> float | None:
        """What the task will cost, roughly; None without prices."""
        ...

    def price(self, task: Task, draft: Draft) -> float | None:
        """What a draft did cost, by the tokens that were counted, or else by the estimate; None without prices."""
        ...


class Writers(Protocol):
    """Writers by what a request says of them."""

    async def components(self, spec: SourceSpec) -> Mapping[str, str]:
        """What shapes its texts, by name, for the digest. Nothing is asked of an endpoint.

        Raises:
            CandorError: Not allowed: host, credential.
        """
        ...

    async def ready(self, spec: SourceSpec) -> Writer:
        """A writer that can be used.

        Raises:
            CandorError: Not allowed, unreachable, wrong key, unknown model.
        """
        ...


class Meter(Protocol):
    """Measures the toxicity of texts."""

    @property
    def method(self) -> str:
        """Its name and version."""
        ...

    async def scores(self, conversations: Sequence[Sequence[str]]) -> Sequence[float]:
        """For each conversation, given as the texts of its turns, the highest score, 0 to 1. Raises CandorError."""
        ...


class Meters(Protocol):
    """Meters by name."""

    async def ready(self, name: str) -> Meter:
        """`detoxify` or `lexical`. Raises CandorError BACKEND_MISSING with the way to mend it."""
        ...
