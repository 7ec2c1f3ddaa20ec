"""Settings that every server has, read once from the environment by the composition root."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.addresses import is_loopback
from chassis.auth.callers import Limits
from chassis.auth.oidc import OidcSettings
from chassis.tracing import TracingSettings

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ServerSettings(BaseSettings):
    """How a server listens, and to whom. Services subclass it with their own prefix and fields."""

    model_config = SettingsConfigDict(env_nested_delimiter="__")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=0, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="Prometheus port; absent: no metrics endpoint"
    )
    health_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="second port, in plaintext, with the gRPC health service alone (kubelet)",
    )
    tls_cert_file: Path | None = Field(
        default=None,
        description="PEM certificate chain of the server; rotated TLS files are taken up without a restart",
    )
    tls_key_file: Path | None = Field(default=None, description="PEM private key of the server")
    tls_client_ca_file: Path | None = Field(
        default=None, description="PEM roots that callers must be signed by (mutual TLS)"
    )
    token_sha256: str = Field(
        default="", description="SHA-256 of a bearer token that allows every call, in hexadecimal"
    )
    callers_file: Path | None = Field(
        default=None,
        description="JSON file of callers, their scopes and limits (docs/security.md); read again when it changes",
    )
    oidc: OidcSettings = Field(default_factory=OidcSettings)
    limits: Limits = Field(default_factory=Limits)
    allow_plaintext: bool = Field(default=False, description="listen without TLS on an address other than loopback")
    drain_seconds: float = Field(default=30.0, ge=0, description="longest wait for calls under way when stopping")
    ready_interval_seconds: float = Field(default=5.0, gt=0, description="how often health asks whether we are ready")
    max_message_bytes: int = Field(default=16 * 2**20, gt=0, description="largest message accepted")
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    log_format: str = Field(default="console", pattern="^(console|json)$", description="console or json")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged"
    )

    @field_validator("token_sha256")
    @classmethod
    def _hashed(cls, value: str) -> str:
        if value and not _SHA256.fullmatch(value):
            raise ValueError("must be the 64 hexadecimal digits of a SHA-256, never the token itself")
        return value

    @model_validator(mode="after")
    def _transport(self) -> ServerSettings:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together")
        if self.tls_client_ca_file and not self.tls_cert_file:
            raise ValueError("tls_client_ca_file needs tls_cert_file and tls_key_file")
        if not self.tls_cert_file and not is_loopback(self.host) and not self.allow_plaintext:
            raise ValueError(f"host {self.host} without TLS: set tls_cert_file and tls_key_file, or allow_plaintext")
        return self


class ClientSettings(BaseSettings):
    """How one service or the CLI reaches another."""

    target: str = Field(default="", description="host:port, or dns:///name:port for client-side balancing")
    token_file: Path | None = Field(default=None, description="file with the bearer token; read again when it changes")
    tls_ca_file: Path | None = Field(default=None, description="PEM roots to trust; setting it turns TLS on")
    tls_cert_file: Path | None = Field(default=None, description="PEM client certificate (mutual TLS)")
    tls_key_file: Path | None = Field(default=None, description="PEM client key (mutual TLS)")
