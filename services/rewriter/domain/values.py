"""The values that every part of the rewriter speaks in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Turn(NamedTuple):
    """One message; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation for training: perhaps a system turn, then user and assistant in turn, an assistant turn last."""

    id: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A row of a file that is a conversation; `cut` turns were left out."""

    row: int
    conversation: Conversation
    category: str
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """A row of a file that is no conversation, and why, in one sentence."""

    row: int
    why: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply to rewrite and the conversation up to it, whose last turn is the user's."""

    turns: tuple[Turn, ...]
    reply: str

    @property
    def asked(self) -> str:
        """The user's last message."""
        return self.turns[-1].content if self.turns else ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a certificate; `reason` says what was lost, added or changed."""

    name: str
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the endpoint counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None

    def plus(self, other: Usage) -> Usage:
        """Both together; what one of them does not know is what the other knows."""
        return Usage(
            prompt_tokens=_sum(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=_sum(self.completion_tokens, other.completion_tokens),
            reasoning_tokens=_sum(self.reasoning_tokens, other.reasoning_tokens),
        )


def _sum(first: int | None, second: int | None) -> int | None:
    return second if first is None else first + (second or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a source wrote. `cut` is set where a token limit ended it."""

    text: str
    cut: bool = False
    usage: Usage | None = None
    reported_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """A rewrite with its certificate: see the proto."""

    text: str
    checks: Sequence[Check]
    attempts: int
    style_shift: float
    digest: str
    usage: Usage | None = None
    reported_model: str = ""
    spend: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """Category and toxicity of a conversation; `toxicity` is None where nothing measured it."""

    category: str
    toxic: bool
    method: str
    toxicity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an endpoint draws."""

    temperature: float = 0.8
    max_tokens: int = 1024
    top_p: float | None = None
    omit: tuple[str, ...] = ()
    max_tokens_field: str = "max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """A model that rewrites, as a request names it; prices per million tokens."""

    base_url: str
    model: str
    api_key_env: str = ""
    credential: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    prompt_price: float | None = None
    completion_price: float | None = None


@dataclass(frozen=True, slots=True)
class RulesSpec:
    """The embedded rewriter."""


SourceSpec = EndpointSpec | RulesSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A way to speak.

    Attributes:
        name: Letters, digits, `_`, `-`.
        instruction: What a model is told of it.
        direction: `warmer`, `colder` or `same`: what the certificate expects of the lexical warmth.
        description: One sentence for lists.
        openings: For the rules: one of these comes before the reply.
        openings_for: The same for replies of one category.
        closings: For the rules: one of these comes after the reply.
        replacements: For the rules: words that stand for others.
        removals: For the rules: sentences that say no more than a pleasantry, as regular expressions.
        exclaims: For the rules: whether exclamation marks may stay.
        unchanged: The reply is the rewrite.
        builtin: Whether it was named, not defined, by the request.
    """

    name: str
    instruction: str = ""
    direction: str = "same"
    description: str = ""
    openings: tuple[str, ...] = ()
    openings_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    closings: tuple[str, ...] = ()
    replacements: Mapping[str, str] = field(default_factory=dict)
    removals: tuple[str, ...] = ()
    exclaims: bool = True
    unchanged: bool = False
    builtin: bool = False
