"""How long to wait before asking again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(value: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float:
    """Seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110 section 10.2.3); 0 if unreadable."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - now()).total_seconds()
    return seconds if 0 < seconds < float("inf") else 0.0


def asked_wait_seconds(headers: Mapping[str, str]) -> float:
    """Seconds that an answer's headers ask for; `retry-after-ms`, which some servers send, is the finer one."""
    fine = retry_after_seconds(headers.get("retry-after-ms")) / 1000
    return fine or retry_after_seconds(headers.get("retry-after"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential waits in seconds, each drawn evenly between half and the whole of the nominal value."""

    first_seconds: float = 0.5
    longest_seconds: float = 20.0

    def wait(self, attempt: int, draw: Callable[[], float] = random.random) -> float:
        """Wait after the given attempt (from 1)."""
        nominal = min(self.longest_seconds, self.first_seconds * 2.0 ** (attempt - 1))
        return nominal * (0.5 + 0.5 * draw())
