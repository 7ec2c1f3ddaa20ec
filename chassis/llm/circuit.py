"""Tells an endpoint that is gone from a request that failed.

When nothing but hopeless failures has come back for a while, every call fails at once with the last error, marked as
being about the whole endpoint, so that a run stops instead of collecting thousands of item errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chassis.errors import CandorError, Reason

_GONE = frozenset({Reason.ENDPOINT_UNAVAILABLE, Reason.ENDPOINT_TIMEOUT})
HOPELESS = _GONE | {Reason.ENDPOINT_UNAUTHENTICATED, Reason.MODEL_NOT_FOUND}
"""Reasons that say nothing of one prompt and all of the endpoint, when no call succeeds in between."""


class EndpointDownError(CandorError):
    """Every call to this endpoint fails: about the run, not about one prompt."""


@dataclass(slots=True)
class Circuit:
    """Counts failures in a row over all calls to one endpoint.

    Attributes:
        failures: So many in a row open it.
        seconds: An unreachable endpoint must also have been silent for so long (a restart is no outage).
        pause_seconds: Once open, calls fail at once for so long; then one may try.
    """

    failures: int = 8
    seconds: float = 30.0
    pause_seconds: float = 2.0
    clock: Callable[[], float] = time.monotonic
    _in_a_row: int = 0
    _silent_since: float = float("inf")
    _answered: float = float("-inf")
    _try_at: float = float("-inf")
    _error: CandorError | None = None

    def check(self) -> None:
        """Raise EndpointDownError while open."""
        if self._error is None:
            return
        now = self.clock()
        if now < self._try_at:
            raise self._down(self._error)
        self._try_at = now + self.pause_seconds  # this call tries; the others go on failing

    def answered(self) -> None:
        """The endpoint answered, if only to refuse this one request."""
        self._in_a_row = 0
        self._silent_since = float("inf")
        self._answered = self.clock()
        self._error = None

    def failed(self, error: CandorError, started: float) -> None:
        """Count a failed request that began at `started`; raises EndpointDownError when the circuit is open then."""
        if error.reason not in HOPELESS and not error.metadata.get("lasting"):
            self.answered()
            return
        now = self.clock()
        self._silent_since = min(self._silent_since, max(started, self._answered))
        self._in_a_row += 1
        patient = error.reason in _GONE and now - self._silent_since < self.seconds
        if self._in_a_row < self.failures or patient:
            return
        self._error = error
        self._try_at = now + self.pause_seconds
        raise self._down(error)

    def _down(self, error: CandorError) -> EndpointDownError:
        message = f"every call fails now ({self._in_a_row} in a row); the last: {error.message}"
        reason = Reason.ENDPOINT_UNAVAILABLE if error.reason in _GONE else error.reason
        return EndpointDownError(reason, message, metadata=error.metadata)
