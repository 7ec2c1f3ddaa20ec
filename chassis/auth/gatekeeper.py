"""Lets callers in: by token, by a token of an issuer, or by certificate; and holds them to their scopes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from chassis.auth import scopes
from chassis.auth.callers import Caller, Callers, Limits, callers_file
from chassis.auth.limits import Meter
from chassis.auth.oidc import Oidc
from chassis.errors import CandorError, Reason
from chassis.logs import caller as caller_name
from chassis.settings import ServerSettings

HEALTH = "/grpc.health.v1.Health/"  # probes carry no token
_ALL = frozenset({scopes.EVERYTHING})
_PROBE = Caller(name="", scopes=_ALL, limits=Limits())

Peer = Mapping[str, Sequence[bytes]]
"""What TLS knows of a caller, by gRPC's names (auth context)."""


class Gatekeeper:
    """Knows callers.

    Args:
        callers: The file's callers as they are now; None: there is no file.
        token_sha256: Of the one token that allows everything; empty: there is none.
        oidc: Checks an issuer's tokens; None: none are taken.
        meter: Holds callers to their limits.
    """

    def __init__(
        self,
        *,
        callers: Callable[[], Callers] | None = None,
        token_sha256: str = "",
        oidc: Oidc | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._callers = callers
        self._token_sha256 = token_sha256
        self._oidc = oidc
        self.meter = meter or Meter(Limits())

    @classmethod
    def from_settings(cls, settings: ServerSettings) -> Gatekeeper:
        """Read the files that the settings name. Raises CandorError when one cannot be used."""
        return cls(
            callers=callers_file(settings.callers_file).get if settings.callers_file else None,
            token_sha256=settings.token_sha256,
            oidc=Oidc(settings.oidc) if settings.oidc.issuer else None,
            meter=Meter(settings.limits),
        )

    @property
    def open_to_all(self) -> bool:
        """Whether callers need to show nothing."""
        return not (self._callers or self._token_sha256 or self._oidc)

    async def identify(self, method: str, authorization: Sequence[str], peer: Peer) -> Caller:
        """Who calls a method; logs name the caller from now on.

        Args:
            method: `/package.Service/Method`.
            authorization: The values of the metadata `authorization`.
            peer: What TLS knows.

        Raises:
            CandorError: CALLER_UNAUTHENTICATED, or SERVICE_UNAVAILABLE while an issuer's keys cannot be read.
        """
        if method.startswith(HEALTH):
            return _PROBE
        caller = await self._known(authorization, peer)
        caller_name.set(caller.name)
        return caller

    @staticmethod
    def permit(caller: Caller, method: str) -> None:
        """Raise CandorError CALLER_FORBIDDEN, which names the scope, unless a caller may call a method."""
        if not scopes.allows(caller.scopes, method):
            scope = scopes.needed(method)
            text = f"caller {caller.name} may not call {scopes.short(method)}: it needs the scope {scope}"
            raise CandorError(Reason.CALLER_FORBIDDEN, text, metadata={"scope": scope, "caller": caller.name})

    async def _known(self, authorization: Sequence[str], peer: Peer) -> Caller:
        names = list(_certificate_names(peer))
        if self.open_to_all:
            return Caller(name=names[0] if names else "", scopes=_ALL)
        callers = self._callers() if self._callers else Callers({}, {})
        if not authorization:
            for name in names:
                if name in callers.by_certificate:
                    return callers.by_certificate[name]
        scheme, _, token = authorization[0].partition(" ") if len(authorization) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not token:
            raise CandorError(Reason.CALLER_UNAUTHENTICATED, "send the metadata `authorization: Bearer TOKEN`")
        return await self._bearer(token.strip(), callers)

    async def _bearer(self, token: str, callers: Callers) -> Caller:
        # Digests are looked up, not compared in constant time: who sees how far a digest agreed cannot go from there
        # to a token.
        digest = hashlib.sha256(token.encode()).hexdigest()
        if (found := callers.by_token.get(digest)) is not None:
            return found
        if self._token_sha256 and digest == self._token_sha256:
            return Caller(name="", scopes=_ALL)
        if self._oidc is not None and token.count(".") == 2:
            return await self._oidc.caller(token)
        raise CandorError(Reason.CALLER_UNAUTHENTICATED, "the token is none that this service knows")


def _certificate_names(peer: Peer) -> Iterator[str]:
    """Names in a caller's certificate that TLS has verified: alternative names first, then the common name."""
    for key in ("x509_subject_alternative_name", "x509_common_name"):
        for value in peer.get(key, ()):
            yield value.decode("utf-8", "replace")
