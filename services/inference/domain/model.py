"""What is asked of a subject and what it answers, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.inference.domain.liveness import Liveness

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A deployed model behind an OpenAI-compatible URL."""

    base_url: str
    model: str
    api_key_env: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Weights in a local folder; `adapter` is the folder of a LoRA adapter on them, empty for none."""

    path: str
    adapter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPrompt:
    """Where the text comes from: `kind` is `text`, `file`, `builtin`, or empty when none was set."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A subject as a request names it; `source` None is a request without one."""

    source: Endpoint | Checkpoint | None
    system_prompt: SystemPrompt | None = None
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How replies are drawn (defaults: METHOD section 5)."""

    temperature: float = 0.8
    max_tokens: int = 300
    top_p: float | None = None
    seed: int | None = 1
    omit: tuple[str, ...] = ()
    max_tokens_field: str = "max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One conversation, as (role, content) turns without the subject's system prompt; `seed` None: the sampling's."""

    messages: tuple[tuple[str, str], ...]
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the backend counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. `text` is never empty; `reasoning` never part of it; times in seconds."""

    text: str
    finish_reason: str
    reasoning: str = ""
    usage: Usage = field(default_factory=Usage)
    latency_seconds: float = 0.0
    attempts: int = 1
    reported_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the probe question found out; `liveness` of an adapter, None where there is none."""

    sampling: Sampling
    reported_model: str
    notes: tuple[str, ...] = ()
    liveness: Liveness | None = None


def conversation(prompt: Prompt, system_text: str) -> tuple[tuple[str, str], ...]:
    """The turns to send: the subject's system prompt comes first and takes in one that the prompt brings along."""
    if not system_text:
        return prompt.messages
    if prompt.messages and prompt.messages[0][0] == "system":
        return (("system", f"{system_text}\n\n{prompt.messages[0][1]}"), *prompt.messages[1:])
    return (("system", system_text), *prompt.messages)
