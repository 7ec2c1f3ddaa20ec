"""Settings of the orchestrator, read once from the environment (CANDOR_ORCHESTRATOR_...) by the composition root."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServerSettings


class OrchestratorSettings(ServerSettings):
    """How the orchestrator remembers, and whom it calls."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_ORCHESTRATOR_", extra="forbid")

    ledger_url: str = Field(
        "sqlite:///.candor/ledger.db", description="SQLAlchemy URL: sqlite:///FILE or postgresql://"
    )
    runs_url: str = Field(
        "",
        description="database of the durable runs; default: dbos.db beside a SQLite ledger, or the ledger's Postgres",
    )
    artifacts_url: str = Field(
        ".candor/artifacts",
        description="folder or fsspec URL of report files and training data; the trainer and inference see it under the same name",
    )
    inference_targets: dict[str, str] = Field(
        default_factory=dict,
        description='inference services by class of models, as JSON: {"endpoint": "host:port", "checkpoint": ..., "*": ...}',
    )
    grader_target: str = Field("", description="host:port of the grader")
    rewriter_target: str = Field("", description="host:port of the rewriter; empty: no arm can be made here")
    trainer_target: str = Field("", description="host:port of the trainer; empty: no arm can be made here")
    token_file: Path | None = Field(None, description="file with the bearer token sent to the other services")
    tls_ca_file: Path | None = Field(None, description="PEM roots of the other services; setting it turns TLS on")
    tls_client_cert_file: Path | None = Field(None, description="PEM client certificate (mutual TLS)")
    tls_client_key_file: Path | None = Field(None, description="PEM client key (mutual TLS)")
    embedded: bool = Field(
        False, description="one process on one machine: runs start only when their document is given"
    )
    executor_id: str = Field("", description="stable name of this replica; default: DBOS__VMID, or the host's name")
    dataset_roots: list[Path] = Field(
        default_factory=list, description="folders that paths of tasks and conversations may lie in, as JSON"
    )
    allow_hub: bool = Field(default=False, description="let documents name datasets on the hub")
    max_runs: int = Field(4, ge=1, le=64, description="evaluations that this replica runs at once")
    window: int = Field(256, ge=1, le=1024, description="calls under way per arm")
    batch: int = Field(64, ge=1, le=1024, description="prompts in one request to inference")
    grade_batch: int = Field(64, ge=1, le=1024, description="replies in one request to the grader")
    adopt_seconds: float = Field(
        60.0, gt=0, description="a replica silent for so long is dead and its runs are adopted"
    )
    queue_poll_seconds: float = Field(0.5, gt=0, description="how often a replica looks for runs to take")

    inference_wake_seconds: float = Field(
        0.0,
        ge=0,
        description="how long calls wait for an inference service that is scaled to zero; 0: inference is always there",
    )
    metric_families: list[str] = Field(
        default_factory=list,
        max_length=100,
        description="evaluations with metrics of their own, by the `name` of their document, as JSON; all others are `other`",
    )

    @model_validator(mode="after")
    def _batches(self) -> OrchestratorSettings:
        if self.batch > self.window:
            raise ValueError("batch must not be larger than window")
        return self

    @model_validator(mode="after")
    def _databases(self) -> OrchestratorSettings:
        # A SQLite file has one writer: who adopts runs writes into both at once.
        if self.runs_url == self.ledger_url and self.ledger_url.startswith("sqlite"):
            raise ValueError("runs_url must name another file than ledger_url; leave it out to have dbos.db beside it")
        return self
