"""The audit log: one line for every call that changes something or starts work, and for every call that was turned away.

Names, digests and reasons only: never a prompt, a reply, a key or a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chassis.auth import scopes
from chassis.errors import CandorError
from chassis.logs import get_logger

LOGGER = "audit"
# What requests and answers call the thing that a call is about; each is an identifier.
_RESOURCE = ("name", "resume_name", "digest")
_LONGEST = 200


class Audit:
    """Writes under the component `audit`, with the request id and the caller's name of the call under way."""

    def __init__(self, service: str) -> None:
        self._log = get_logger(LOGGER).bind(service=service)

    def denied(self, method: str, peer: str, request: Any, error: CandorError) -> None:
        """A caller was turned away: unknown, not allowed, or over a limit."""
        about = dict(_about(request))
        self._log.warning("denied", method=scopes.short(method), peer=peer, reason=error.reason.name, **about)

    def done(self, method: str, peer: str, request: Any, response: Any, outcome: str) -> None:
        """An audited call has ended; `outcome` is OK or the reason of its error."""
        if scopes.audited(method):
            about = dict(_about(request)) | dict(_about(response))
            self._log.info("call", method=scopes.short(method), peer=peer, outcome=outcome, **about)


def _about(message: Any) -> Iterator[tuple[str, str]]:
    for field in _RESOURCE:
        if value := _text(message, field):
            yield "resource", value
            break
    for field, name in (("document_digest", "document_digest"), ("request_id", "idempotency_key")):
        if value := _text(message, field):
            yield name, value


def _text(message: Any, field: str) -> str:
    value = getattr(message, field, "")
    return value[:_LONGEST] if isinstance(value, str) else ""
