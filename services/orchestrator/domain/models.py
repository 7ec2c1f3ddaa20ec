"""Models and how they are asked: the values that documents, recipes and calls share."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.orchestrator.domain.plain import LATER


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How replies are drawn."""

    temperature: float = 0.8
    max_tokens: int = 300
    top_p: float | None = None
    seed: int = 1
    omit: tuple[str, ...] = ()
    max_tokens_field: str = "max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible endpoint."""

    base_url: str
    model: str
    api_key_env: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Weights in a folder, and the folder of a LoRA adapter on them, if any."""

    path: str
    adapter: str = field(default="", metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPrompt:
    """Text, or the name of a built-in one."""

    text: str = ""
    builtin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Currency units per million tokens. `training_per_million`: of an endpoint that others are fine-tuned from."""

    prompt_per_million: float
    completion_per_million: float
    training_per_million: float | None = field(default=None, metadata=LATER)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Price of so many tokens."""
        return (prompt_tokens * self.prompt_per_million + completion_tokens * self.completion_per_million) / 1e6
