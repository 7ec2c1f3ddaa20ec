"""The file of callers: names, the digests of their tokens or their certificates, scopes and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from chassis.auth import scopes
from chassis.errors import CandorError, FieldViolation, Reason, invalid
from chassis.watched import Watched

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Limits(BaseModel):
    """What one caller may ask of one replica; absent: no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls_per_second: float | None = Field(
        default=None, gt=0, description="calls that one caller may make; one second's worth at once"
    )
    items_per_second: float | None = Field(
        default=None,
        gt=0,
        description="items of batches that one caller may send; a larger batch is taken, and waited for by the next",
    )
    message_bytes: int | None = Field(default=None, gt=0, description="largest message of one caller")
    calls_in_flight: int | None = Field(default=None, gt=0, description="calls of one caller under way at once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls.

    Attributes:
        name: For logs, limits and the ledger; empty where callers need no name.
        scopes: What they may call.
        limits: How much of it; None: what the server's settings say.
    """

    name: str
    scopes: frozenset[str]
    limits: Limits | None = None


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Entry(BaseModel):
    """One caller as the file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_sha256: _Texts = ()
    certificates: _Texts = ()
    scopes: _Texts = Field(min_length=1)
    limits: Limits | None = None

    @field_validator("token_sha256")
    @classmethod
    def _hashed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(_SHA256.fullmatch, value)):
            raise ValueError("must be the 64 hexadecimal digits of a SHA-256, never the token itself")
        return value

    @field_validator("scopes")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if problems := [f"{scope!r} {problem}" for scope in value if (problem := scopes.wrong(scope))]:
            raise ValueError("; ".join(problems))
        return value


_FILE = TypeAdapter(dict[str, _Entry])


@dataclass(frozen=True, slots=True)
class Callers:
    """Callers by the SHA-256 of their tokens, and by the names in their certificates."""

    by_token: Mapping[str, Caller]
    by_certificate: Mapping[str, Caller]


def read_callers(content: bytes) -> Callers:
    """The callers of a file's content.

    Raises:
        CandorError: INVALID_REQUEST with every bad field. Its text never has a token in it.
    """
    try:
        entries = _FILE.validate_json(content)
    except ValidationError as error:
        problems = [
            FieldViolation(".".join(map(str, each["loc"])) or "callers", each["msg"])
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise invalid("the file of callers cannot be used", problems) from None
    by_token: dict[str, Caller] = {}
    by_certificate: dict[str, Caller] = {}
    problems = []
    for name, entry in entries.items():
        if not _NAME.fullmatch(name):
            problems.append(FieldViolation(name[:70], "a name has letters, digits, . _ and -, at most 63"))
        if not entry.token_sha256 and not entry.certificates:
            problems.append(FieldViolation(name[:70], "give token_sha256 or certificates"))
        caller = Caller(name=name, scopes=frozenset(entry.scopes), limits=entry.limits)
        for known, keys in ((by_token, entry.token_sha256), (by_certificate, entry.certificates)):
            for key in keys:
                if known.setdefault(key, caller) is not caller:
                    problems.append(FieldViolation(name[:70], f"shares a token or certificate with {known[key].name}"))
    if problems:
        raise invalid("the file of callers cannot be used", problems)
    return Callers(by_token, by_certificate)


def callers_file(path: Path) -> Watched[Callers]:
    """The callers of a file, as it is now. Raises CandorError when it cannot be read or used at the start."""

    def make(content: bytes) -> Callers:
        try:
            return read_callers(content)
        except CandorError as error:
            raise CandorError(Reason.INVALID_REQUEST, f"{path}: {error}") from error

    return Watched([path], make)
