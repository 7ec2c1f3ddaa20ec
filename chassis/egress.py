"""Where a service may go and which secrets it may take along: allow-lists, checked before anything is sent.

A document names a credential, never a variable; settings bind the name to a secret and to the hosts it may go to.
Metadata and link-local addresses are refused whatever the settings say, also when a harmless name resolves to one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from chassis.addresses import (
    Address,
    Resolver,
    forbidden_name,
    has_proxy,
    is_loopback,
    literal,
    not_allowed,
    resolve,
    usable,
)
from chassis.errors import CandorError, Reason
from chassis.urls import http_parts


class Credential(BaseModel):
    """A secret under a name, and the hosts that it may go to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret_file: Path | None = Field(None, description="file whose content is the key")
    secret_env: str = Field("", description="variable of the server's own environment that holds the key")
    hosts: tuple[str, ...] = Field(min_length=1, description="host, host:port or *.domain that the key may go to")

    @field_validator("hosts")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _checked(value)

    @model_validator(mode="after")
    def _one_source(self) -> Credential:
        if (self.secret_file is None) == (not self.secret_env):
            raise ValueError("give secret_file or secret_env")
        return self

    def secret(self, name: str) -> SecretStr:
        """The key. Raises CandorError CREDENTIAL_MISSING."""
        if self.secret_file is not None:
            try:
                value = self.secret_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise _missing(name, f"its secret_file cannot be read ({type(error).__name__})") from error
        else:
            value = os.environ.get(self.secret_env, "").strip()
        if not value:
            raise _missing(name, "its secret is empty on this server")
        return SecretStr(value)


class Egress(BaseModel):
    """The trust settings of a service that calls endpoints or opens checkpoints. Nothing is allowed by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="host, host:port or *.domain that endpoints may have"
    )
    any_host: bool = Field(default=False, description="allow every host but metadata and link-local ones (embedded)")
    credentials: Mapping[str, Credential] = Field(default_factory=dict, description="keys by name")
    allow_api_key_env: bool = Field(default=False, description="let documents name environment variables (embedded)")
    artifact_roots: tuple[Path, ...] = Field(default=(), description="folders that checkpoints may lie in")
    any_path: bool = Field(default=False, description="allow every local folder (embedded)")

    @field_validator("allowed_hosts")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _checked(value)

    @classmethod
    def embedded(cls) -> Egress:
        """One person's machine: their own hosts, variables and folders."""
        return cls(any_host=True, allow_api_key_env=True, any_path=True)


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks a request's endpoints and paths against the settings. `where` prefixes field names in errors."""

    settings: Egress
    resolver: Resolver = field(default=resolve)

    async def check_url(self, base_url: str, where: str = "endpoint.base_url") -> None:
        """Raise CandorError INVALID_REQUEST or HOST_NOT_ALLOWED unless the URL may be called."""
        parts = split_url(base_url, where)
        host = parts.hostname or ""
        if not self.settings.any_host and not any(_matches(pattern, parts) for pattern in self.settings.allowed_hosts):
            raise not_allowed(host, "is not in allowed_hosts of this server's egress settings", where)
        if forbidden_name(host):
            raise not_allowed(host, "is a metadata service", where)
        if (address := literal(host)) is not None:
            self._check(host, [address], where)
        if not has_proxy(base_url):  # where a proxy is set, it resolves the name, and may be the only one who can
            await self.addresses(host, where)

    async def addresses(self, host: str, where: str = "") -> Sequence[Address]:
        """The addresses of an allowed host, as they are now; asked again for each new connection (DNS rebinding).

        Raises:
            CandorError: HOST_NOT_ALLOWED, or ENDPOINT_UNAVAILABLE when the name is unknown.
        """
        found = await self.resolver(host)
        self._check(host, found, where)
        return found

    def key(self, base_url: str, credential: str, api_key_env: str, where: str = "endpoint") -> SecretStr:
        """The key for an endpoint; empty when none is named.

        Raises:
            CandorError: CREDENTIAL_NOT_ALLOWED (unknown here, or bound to other hosts), CREDENTIAL_MISSING.
        """
        if credential:
            return self._named(base_url, credential, f"{where}.credential")
        if not api_key_env:
            return SecretStr("")
        if not self.settings.allow_api_key_env:
            message = f"{where}.api_key_env works only in the embedded suite; name a credential of this server instead"
            raise CandorError(Reason.CREDENTIAL_NOT_ALLOWED, message)
        value = os.environ.get(api_key_env, "").strip()
        if not value:
            message = f"{where}.api_key_env: the variable {api_key_env} is not set; export it and try again"
            raise CandorError(Reason.CREDENTIAL_MISSING, message)
        return SecretStr(value)

    def check_path(self, path: str, where: str = "checkpoint.path") -> Path:
        """The folder with symlinks resolved; a relative path starts at the first root.

        Raises:
            CandorError: PATH_NOT_ALLOWED or CHECKPOINT_NOT_FOUND.
        """
        base = self._roots[0] if self._roots else Path.cwd()
        resolved = self.check_inside(base / path, where)
        if not resolved.is_dir():
            raise CandorError(Reason.CHECKPOINT_NOT_FOUND, f"{where}: there is no folder {path}")
        return resolved

    def check_inside(self, path: Path, where: str) -> Path:
        """A path with symlinks resolved. Raises CandorError PATH_NOT_ALLOWED when it leads out of the roots."""
        resolved = path.resolve()
        if not self.settings.any_path and not any(resolved.is_relative_to(root) for root in self._roots):
            message = f"{where} leads out of the artifact roots of this server; move the files or extend artifact_roots"
            raise CandorError(Reason.PATH_NOT_ALLOWED, message)
        return resolved

    @property
    def _roots(self) -> list[Path]:
        return [root.resolve() for root in self.settings.artifact_roots]

    def _check(self, host: str, addresses: Sequence[Address], where: str) -> None:
        # Whoever allows a host that says itself that it is this machine means it.
        loopback = self.settings.any_host or is_loopback(host)
        for address in addresses:
            if why := usable(address, loopback=loopback):
                raise not_allowed(host, why, where)

    def _named(self, base_url: str, name: str, where: str) -> SecretStr:
        credential = self.settings.credentials.get(name)
        if credential is None:
            known = ", ".join(sorted(self.settings.credentials)) or "none"
            message = f"{where}: this server has no credential {name!r}; it has {known}"
            raise CandorError(Reason.CREDENTIAL_NOT_ALLOWED, message)
        parts = split_url(base_url, where)
        if not any(_matches(pattern, parts) for pattern in credential.hosts):
            message = f"{where}: {name!r} may not go to {parts.hostname}; add the host to the credential's hosts"
            raise CandorError(Reason.CREDENTIAL_NOT_ALLOWED, message)
        return credential.secret(name)


def split_url(base_url: str, where: str) -> SplitResult:
    """The parts of an http(s) URL. Raises CandorError INVALID_REQUEST."""
    parts = http_parts(base_url)
    if parts is None:
        raise CandorError(
            Reason.INVALID_REQUEST, f"{where} is not an http or https URL, for example http://host:8000/v1"
        )
    if parts.username or parts.password:
        raise CandorError(Reason.INVALID_REQUEST, f"{where} holds a user name or password; use a credential")
    return parts


def _matches(pattern: str, parts: SplitResult) -> bool:
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    name, wanted_port = _pattern(pattern)
    if wanted_port not in (None, port):
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _pattern(pattern: str) -> tuple[str, int | None]:
    """(host, port) of `host`, `host:port`, `*.domain`, `[::1]:port` or `::1`. Raises ValueError."""
    bare_v6 = pattern.count(":") > 1 and not pattern.startswith("[")
    parts = urlsplit(f"//[{pattern}]" if bare_v6 else f"//{pattern}")
    if not parts.hostname or "@" in pattern or parts.netloc.strip("[]") != pattern.strip("[]"):
        raise ValueError(f"{pattern!r} is not host, host:port or *.domain")
    return parts.hostname.rstrip("."), parts.port


def _checked(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        _pattern(pattern)
    return patterns


def _missing(name: str, why: str) -> CandorError:
    return CandorError(Reason.CREDENTIAL_MISSING, f"credential {name!r}: {why}")
