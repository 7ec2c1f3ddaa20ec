"""The audit log: one line for every call that changes something or starts work, and for every call that was turned away.

Names, digests and reasons only: never a prompt, a reply, a key or a token. A denial that repeats itself (one
caller, method, host and reason) is written once a second, with how often it came, so that whoever is turned away cannot
fill the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from chassis.auth import scopes
from chassis.errors import CandorError
from chassis.logs import caller, get_logger

LOGGER = "audit"
# What requests and answers call the thing that a call is about; each is an identifier.
_RESOURCE = ("name", "resume_name", "digest")
_LONGEST = 200
_MOST_REMEMBERED = 1000


class Audit:
    """Writes under the component `audit`, with the request id and the caller's name of the call under way.

    Args:
        service: Name of the service.
        clock: Seconds that only grow.
    """

    def __init__(self, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = get_logger(LOGGER).bind(service=service)
        self._clock = clock
        self._repeated: dict[tuple[str, ...], _Repeated] = {}

    def denied(self, method: str, peer: str, request: Any, error: CandorError) -> None:
        """A caller was turned away: unknown, not allowed, or over a limit."""
        host = peer.rpartition(":")[0]
        # Nothing of the request: whoever makes it up would have a line for each.
        if times := self._times(caller.get(), method, host, error.reason.name):
            found = {"peer": peer, "reason": error.reason.name, "times": times, **dict(_about(request))}
            self._log.warning("denied", method=scopes.short(method), **found)

    def done(self, method: str, peer: str, request: Any, response: Any, outcome: str) -> None:
        """An audited call has ended; `outcome` is OK or the reason of its error."""
        if scopes.audited(method):
            about = dict(_about(request)) | dict(_about(response))
            self._log.info("call", method=scopes.short(method), peer=peer, outcome=outcome, **about)

    def _times(self, *denial: str) -> int:
        """How often a denial came since it was written last, this time included; 0: do not write it now."""
        now = self._clock()
        if denial not in self._repeated:
            if len(self._repeated) >= _MOST_REMEMBERED:
                self._repeated.clear()
            self._repeated[denial] = _Repeated()
        found = self._repeated[denial]
        found.times += 1
        if now - found.written < 1.0:
            return 0
        times, found.times, found.written = found.times, 0, now
        return times


class _Repeated:
    """When a denial was written last, and how often it came since."""

    def __init__(self) -> None:
        self.times = 0
        self.written = float("-inf")


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
