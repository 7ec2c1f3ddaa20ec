"""Settings of the rewriter service; environment variables start with CANDOR_REWRITER_."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.egress import Egress
from chassis.llm import Policy
from chassis.settings import ServerSettings


class RewriterSettings(ServerSettings):
    """Nested values take two underscores: CANDOR_REWRITER_EGRESS__ALLOWED_HOSTS='["llm:8000"]'."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_REWRITER_", env_nested_delimiter="__", frozen=True)

    egress: Egress = Field(default_factory=Egress, description="hosts and credentials of models that rewrite")
    max_writers: int = Field(default=16, ge=1, description="endpoints kept ready")
    initial_concurrency: int = Field(default=8, ge=1, description="rewrites under way at the start")
    max_concurrency: int = Field(default=64, ge=1, le=1024, description="the most that adaptive growth may reach")
    max_attempts: int = Field(default=8, ge=1, description="requests for one rewrite at most, where they fail")
    attempt_seconds: float = Field(default=180.0, gt=0, description="from sending a request to its whole answer")
    deadline_seconds: float = Field(
        default=900.0, gt=0, description="from the first request for a rewrite to giving up"
    )
    toxicity: str = Field(
        default="lexical", pattern="^(detoxify|lexical|none)$", description="meter of requests that name none"
    )
    detoxify_model: str = Field(
        default="original", pattern="^(original|unbiased|multilingual)$", description="which classifier of Detoxify"
    )
    detoxify_checkpoint: Path | None = Field(
        default=None, description="local checkpoint file; absent: the package downloads its own"
    )
    detoxify_config: Path | None = Field(
        default=None, description="local folder with tokenizer and configuration of the classifier's base model"
    )
    torch_threads: int = Field(default=0, ge=0, description="threads of torch; 0 leaves its own choice")

    def policy(self) -> Policy:
        """How hard to try at an endpoint."""
        return Policy(
            max_attempts=self.max_attempts,
            attempt_seconds=self.attempt_seconds,
            deadline_seconds=self.deadline_seconds,
            initial_concurrency=min(self.initial_concurrency, self.max_concurrency),
            max_concurrency=self.max_concurrency,
        )
