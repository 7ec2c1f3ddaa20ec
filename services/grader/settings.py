"""Settings of the grader service; environment variables start with CANDOR_GRADER_."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.egress import Egress
from chassis.llm import Policy
from chassis.settings import ServerSettings


class GraderSettings(ServerSettings):
    """Nested values take two underscores: CANDOR_GRADER_EGRESS__ALLOWED_HOSTS='["judge:8000"]'."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_GRADER_", env_nested_delimiter="__", frozen=True)

    egress: Egress = Field(default_factory=Egress, description="hosts and credentials of judges, folders of scorers")
    max_judges: int = Field(default=16, ge=1, description="judges kept ready")
    initial_concurrency: int = Field(default=8, ge=1, description="judgements under way at the start")
    max_concurrency: int = Field(default=32, ge=1, le=1024, description="the most that adaptive growth may reach")
    max_attempts: int = Field(default=8, ge=1, description="requests for one judgement at most")
    attempt_seconds: float = Field(default=120.0, gt=0, description="from sending a request to its whole answer")
    deadline_seconds: float = Field(
        default=600.0, gt=0, description="from the first request for a judgement to giving up"
    )
    hub: bool = Field(default=False, description="let requests name scorers of the model hub (the embedded suite may)")
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="where scorers run")
    precision: str = Field(default="float32", pattern="^(float32|bfloat16)$", description="precision of scorers")
    torch_threads: int = Field(default=0, ge=0, description="threads of torch; 0 leaves its own choice")
    batch_tokens: int = Field(default=2048, ge=64, description="tokens that a scorer reads at once")
    max_scorers: int = Field(default=2, ge=1, description="scorers kept in memory")

    @property
    def hub_allowed(self) -> bool:
        """Whether scorers may come from the hub."""
        return self.hub or self.egress.any_host

    def policy(self) -> Policy:
        """How hard to try at a judge's endpoint."""
        return Policy(
            max_attempts=self.max_attempts,
            attempt_seconds=self.attempt_seconds,
            deadline_seconds=self.deadline_seconds,
            initial_concurrency=self.initial_concurrency,
            max_concurrency=self.max_concurrency,
        )
