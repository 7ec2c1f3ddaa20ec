"""Callers who show a JSON Web Token of an OpenID Connect issuer, or a Kubernetes service account's (RFC 7519, 8725)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from chassis.addresses import is_loopback
from chassis.auth import scopes
from chassis.auth.callers import Caller
from chassis.auth.jwks import FileKeys, KeySource, UrlKeys, fetcher
from chassis.errors import CandorError, Reason

if TYPE_CHECKING:
    from jwt import PyJWK

# Signatures only: with a shared secret, whoever can check a token can make one.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_MOST_CHARS = 16_384


class OidcSettings(BaseModel):
    """Whose tokens are taken, and what their claims allow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(default="", description="`iss` that tokens must have; setting it turns OIDC on")
    audience: str = Field(default="", description="`aud` that tokens must have; required with an issuer")
    jwks_url: str = Field(default="", description="https URL of the issuer's keys")
    jwks_file: Path | None = Field(default=None, description="file with the issuer's keys, instead of the URL")
    jwks_ca_file: Path | None = Field(default=None, description="PEM roots for the URL; default: the system's")
    jwks_token_file: Path | None = Field(default=None, description="bearer token for the URL (a Kubernetes API server)")
    claim: str = Field(
        default="scope",
        description="claim that scopes come from, a text or a list; a path like `realm_access.roles` goes into objects",
    )
    scopes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description='scopes by value of the claim, as JSON: {"evaluators": ["orchestrator:write"]}',
    )
    algorithms: tuple[str, ...] = Field(default=("RS256", "ES256"), description="signatures taken, as JSON")
    leeway_seconds: float = Field(default=30.0, ge=0, le=300, description="how far clocks may be apart")
    refresh_seconds: float = Field(default=600.0, gt=0, description="how old keys of the URL may be")

    @field_validator("algorithms")
    @classmethod
    def _asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not set(value) <= set(_ALGORITHMS):
            raise ValueError(f"must be some of {', '.join(_ALGORITHMS)}")
        return value

    @field_validator("scopes")
    @classmethod
    def _known(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        found = [f"{each!r} {problem}" for given in value.values() for each in given if (problem := scopes.wrong(each))]
        if found:
            raise ValueError("; ".join(found))
        return value

    @model_validator(mode="after")
    def _whole(self) -> OidcSettings:
        if not self.issuer:
            if self.audience or self.jwks_url or self.jwks_file or self.scopes:
                raise ValueError("issuer is missing")
            return self
        if not self.audience:
            raise ValueError("audience is missing: without it, tokens for other services would be taken")
        if bool(self.jwks_url) == (self.jwks_file is not None):
            raise ValueError("give jwks_url or jwks_file")
        parts = urlsplit(self.jwks_url)
        if (
            self.jwks_url
            and parts.scheme != "https"
            and not (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        ):
            raise ValueError("jwks_url must begin with https://")
        if not self.scopes:
            raise ValueError("scopes are missing: no token would allow anything")
        return self


class Oidc:
    """Checks tokens.

    Args:
        settings: With an issuer.
        keys: Default: as the settings say.

    Raises:
        CandorError: The package is missing, or the file of keys cannot be used.
    """

    def __init__(self, settings: OidcSettings, keys: KeySource | None = None) -> None:
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            raise CandorError(Reason.BACKEND_MISSING, "OIDC needs PyJWT: pip install '.[oidc]' in Candor's folder")
        self._settings = settings
        self._keys = keys or _keys(settings)

    async def caller(self, token: str) -> Caller:
        """Who a token says that its bearer is.

        Raises:
            CandorError: CALLER_UNAUTHENTICATED with what is wrong, never with the token; SERVICE_UNAVAILABLE while the
                issuer's keys cannot be read.
        """
        import jwt

        if len(token) > _MOST_CHARS:
            raise _refused("it is too long")
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError as error:
            raise _refused("it is no JSON Web Token") from error
        key = await self._keys.key(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise _refused("its kid is none of the issuer's keys")
        claims = self._claims(token, key)
        return Caller(name=_name(str(claims["sub"])), scopes=frozenset(self._scopes(claims)))

    def _claims(self, token: str, key: PyJWK) -> Mapping[str, Any]:
        import jwt

        settings = self._settings
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[each for each in settings.algorithms if _fits(each, key)],
                issuer=settings.issuer,
                audience=settings.audience,
                leeway=settings.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise _refused("it has expired") from error
        except jwt.ImmatureSignatureError as error:
            raise _refused("it is not valid yet") from error
        except jwt.InvalidAudienceError as error:
            raise _refused(f"its audience is not {settings.audience}") from error
        except jwt.InvalidIssuerError as error:
            raise _refused(f"its issuer is not {settings.issuer}") from error
        except jwt.MissingRequiredClaimError as error:
            raise _refused(f"it has no claim {error.claim}") from error
        except jwt.PyJWTError as error:
            raise _refused("its signature does not hold") from error

    def _scopes(self, claims: Mapping[str, Any]) -> Iterator[str]:
        for value in _values(self._settings.claim, claims):
            yield from self._settings.scopes.get(value, ())


def _keys(settings: OidcSettings) -> KeySource:
    if settings.jwks_file is not None:
        return FileKeys(settings.jwks_file)
    fetch = fetcher(settings.jwks_url, settings.jwks_ca_file, settings.jwks_token_file)
    return UrlKeys(fetch, settings.refresh_seconds)


def _fits(algorithm: str, key: PyJWK) -> bool:
    """Whether the key may be used so (RFC 8725 3.1: one key, one algorithm); RSA keys often do not say which."""
    kinds = {"R": "RSA", "P": "RSA", "ES": "EC", "Ed": "OKP"}
    kind = kinds.get(algorithm[:2]) or kinds[algorithm[0]]
    declared = key._jwk_data.get("alg")  # noqa: SLF001 - the library does not give it in public
    return key.key_type == kind and declared in (None, algorithm)


def _values(name: str, claims: Mapping[str, Any]) -> Sequence[str]:
    """The texts of a claim, which may be one, a list, or, in `scope` alone, one with blanks between (RFC 8693 4.2)."""
    found: Any = claims
    for part in (name,) if name in claims else name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return found.split() if name in ("scope", "scp") else [found]
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _name(subject: str) -> str:
    """A name for logs and the ledger; an issuer may put anything into a subject."""
    return "oidc:" + "".join(each if each.isprintable() and each != " " else "?" for each in subject[:120])


def _refused(why: str) -> CandorError:
    return CandorError(Reason.CALLER_UNAUTHENTICATED, f"the token was refused: {why}")
