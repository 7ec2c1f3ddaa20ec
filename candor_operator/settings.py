"""Settings of the operator, read once from the environment (CANDOR_OPERATOR_...)."""

from __future__ import annotations

import random
import uuid
from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import ClientSettings

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class OperatorSettings(ClientSettings):
    """Which resources the operator follows, and which orchestrator runs them."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_OPERATOR_", extra="forbid")

    target: str = Field(
        min_length=1, description="the orchestrator: host:port, or dns:///name:port for client-side balancing"
    )
    namespaces: tuple[str, ...] = Field(
        default=(), description="namespaces whose evaluations are followed; absent: the operator's own"
    )
    cluster_wide: bool = Field(default=False, description="follow the evaluations of all namespaces")
    poll_seconds: float = Field(
        default=5.0, gt=0, description="how often a running evaluation is asked for its progress"
    )
    retry_seconds: float = Field(
        default=60.0, gt=0, description="longest wait before a call that failed is made again; waits double up to it"
    )
    give_up_seconds: float = Field(
        default=300.0,
        ge=0,
        description="how long a deleted resource waits for an orchestrator that cannot be asked to stop its evaluation",
    )
    liveness_host: str = Field(default="127.0.0.1", description="address of the liveness endpoint")
    liveness_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="port of GET /healthz, which fails when the watch is dead; absent: none",
    )
    peering: str = Field(
        default="",
        description="name of the KopfPeering object by which one of several operators leads; empty: this one is alone",
    )
    peering_priority: int = Field(
        default_factory=lambda: random.randint(1, 2**31 - 1),  # noqa: S311  # draws lots, keeps no secret
        description="the highest leads; absent: drawn by lot",
    )
    peering_seconds: int = Field(default=30, ge=10, description="how long an operator that fell silent still leads")
    identity: str = Field(
        default_factory=lambda: f"operator-{uuid.uuid4().hex[:12]}",
        min_length=1,
        description="name of this replica among its peers; absent: a random one",
    )
    watch_seconds: int = Field(
        default=60,
        gt=0,
        description="a watch is opened anew after this time; silent two and a half times as long, it is dead",
    )
    log_format: str = Field(default="console", pattern="^(console|json)$", description="console or json")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )

    @model_validator(mode="after")
    def _where(self) -> OperatorSettings:
        if self.cluster_wide and self.namespaces:
            raise ValueError("namespaces and cluster_wide exclude each other; set one")
        if not self.cluster_wide and not self.namespaces:
            if not _OWN_NAMESPACE.is_file():
                raise ValueError("set namespaces or cluster_wide: outside a cluster there is no namespace of one's own")
            self.namespaces = (_OWN_NAMESPACE.read_text(encoding="utf-8").strip(),)
        return self
