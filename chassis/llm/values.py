"""What goes to an endpoint and what comes back, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Messages = Sequence[tuple[str, str]]
"""(role, content) turns; roles are `system`, `user`, `assistant`."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served. `base_url` goes up to and including the version; an empty key sends none."""

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How replies are drawn. `max_tokens` bounds the new tokens; `omit` names parameters that are not sent."""

    temperature: float = 0.8
    max_tokens: int = 300
    top_p: float | None = None
    seed: int | None = None
    omit: tuple[str, ...] = ()
    max_tokens_field: str = "max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the endpoint counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A reply. `text` is never empty and never holds reasoning.

    Attributes:
        finish_reason: `stop`, `length`, `content_filter`, or what the endpoint says.
        reasoning: Reasoning that came apart from the answer or in a leading think block.
        reported_model: The name that the endpoint gives itself; empty when it gives none.
        attempts: Requests that it took, at least 1.
        latency_seconds: From sending the last request to the whole reply; waiting and earlier attempts excluded.
    """

    text: str
    finish_reason: str = "stop"
    reasoning: str = ""
    usage: Usage = field(default_factory=Usage)
    reported_model: str = ""
    attempts: int = 1
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one question found out: the sampling to use from now on, and the endpoint's words on what it refused."""

    sampling: Sampling
    reported_model: str
    notes: tuple[str, ...] = ()
