"""How much one caller may ask: token buckets, calls under way, the size of a message. Per process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from google.protobuf.message import Message

from chassis.auth.callers import Caller, Limits
from chassis.errors import CandorError, Reason

_NONE = Limits()
_MOST_REMEMBERED = 1024
_BUSY_SECONDS = 1.0  # when a call under way ends, nobody knows


def items_of(message: Message | None) -> int:
    """How many items a request has: the entries of its longest list; 1 for a request that has none."""
    if message is None:
        return 1
    return max((len(value) for field, value in message.ListFields() if field.is_repeated), default=1)


class _Bucket:
    """Fills at `rate` up to one second's worth. More than that is taken from a full bucket, and waited for by the next."""

    def __init__(self) -> None:
        self._level = math.inf
        self._at = 0.0

    def wait(self, cost: float, rate: float, now: float) -> float:
        """Seconds until `cost` can be taken; 0 if now."""
        full = max(rate, 1.0)
        self._level = min(full, self._level + (now - self._at) * rate)
        self._at = now
        missing = min(cost, full) - self._level
        return missing / rate if missing > 1e-9 else 0.0  # rounding must not keep the last drop away

    def take(self, cost: float) -> None:
        self._level -= cost


class _Account:
    """What one caller has used."""

    def __init__(self) -> None:
        self.calls, self.items, self.in_flight = _Bucket(), _Bucket(), 0
        self.last = 0.0


class Meter:
    """Holds callers to their limits.

    Args:
        default: For callers who have none of their own.
        clock: Seconds that only grow.
    """

    def __init__(self, default: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._default = default
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    @contextmanager
    def call(self, caller: Caller, items: int) -> Iterator[None]:
        """Count a call for as long as it is under way; those of a caller without limits, health's above all, are not.

        Raises:
            CandorError: CALLER_LIMITED, with `retry_after_seconds`.
        """
        limits = caller.limits or self._default
        if limits == _NONE:
            yield
            return
        account = self._account(caller.name)
        self._refuse(caller, account, limits, items)
        account.calls.take(1)
        account.items.take(items)
        account.in_flight += 1
        try:
            yield
        finally:
            account.in_flight -= 1

    def size(self, caller: Caller, size: int) -> None:
        """Refuse a message of more bytes than the caller may send. Raises CandorError BATCH_TOO_LARGE."""
        most = (caller.limits or self._default).message_bytes
        if most is not None and size > most:
            text = f"the message has {size:,} bytes; {_who(caller)} may send at most {most:,}: send smaller batches"
            raise CandorError(Reason.BATCH_TOO_LARGE, text, metadata={"limit": str(most)})

    def _refuse(self, caller: Caller, account: _Account, limits: Limits, items: int) -> None:
        now = self._clock()
        account.last = now
        for what, bucket, cost, rate in (
            ("calls", account.calls, 1, limits.calls_per_second),
            ("items", account.items, items, limits.items_per_second),
        ):
            if rate is not None and (seconds := bucket.wait(cost, rate, now)) > 0:
                raise _limited(caller, f"{rate:g} {what} a second", seconds)
        most = limits.calls_in_flight
        if most is not None and account.in_flight >= most:
            raise _limited(caller, f"{most} calls at once", _BUSY_SECONDS)

    def _account(self, name: str) -> _Account:
        if name not in self._accounts:
            if len(self._accounts) >= _MOST_REMEMBERED:
                self._forget()
            self._accounts[name] = _Account()
        return self._accounts[name]

    def _forget(self) -> None:
        """Drop the half that was silent for longest and has no call under way: names of tokens come and go."""
        idle = sorted((each.last, name) for name, each in self._accounts.items() if not each.in_flight)
        for _, name in idle[: _MOST_REMEMBERED // 2]:
            del self._accounts[name]


def _limited(caller: Caller, limit: str, seconds: float) -> CandorError:
    wait = max(0.001, seconds)
    text = f"{_who(caller)} may make {limit} here; try again in {math.ceil(wait * 10) / 10:g} s"
    return CandorError(Reason.CALLER_LIMITED, text, metadata={"retry_after_seconds": f"{wait:.3f}", "limit": limit})


def _who(caller: Caller) -> str:
    return f"caller {caller.name}" if caller.name else "a caller"
