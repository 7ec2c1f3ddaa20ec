"""How many requests may be under way: grows while the endpoint copes, halves when it does not.

Additive increase, multiplicative decrease, with a doubling start (as in TCP congestion control, RFC 5681). A burst of
refusals counts once: only a request that started after the last cut can cause the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_CUT = 0.5


class PausedError(Exception):
    """The endpoint asked for a pause that is longer than anyone here waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(slots=True)
class Slot:
    """One request's turn; `started` is when it got it."""

    started: float


class AdaptiveLimiter:
    """Bounds concurrency on one event loop. First come, first served.

    Args:
        initial: Requests allowed at the start.
        maximum: The most that is ever allowed.
        longest_pause_seconds: Where the endpoint asks for a longer one, waiting ends with PausedError.
        clock: Monotonic seconds; tests bring their own.
    """

    def __init__(
        self,
        initial: int = 16,
        maximum: int = 64,
        clock: Callable[[], float] = time.monotonic,
        longest_pause_seconds: float = 600.0,
    ) -> None:
        self.maximum = float(maximum)
        self.limit = float(min(initial, maximum))
        self.in_flight = 0
        self._peak = 0  # most under way since the last cut
        self._clock = clock
        self._longest_pause = longest_pause_seconds
        self._threshold = self.maximum  # above it growth is additive
        self._last_cut = float("-inf")
        self._paused_until = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, *, first: bool = False) -> Slot:
        """Wait for a turn; give it back with `release`. `first` goes before those who wait (a second attempt does).

        Raises:
            PausedError: The endpoint asked for a longer pause than `longest_pause_seconds`.
        """
        if (pause := self._pause()) > self._longest_pause:
            raise PausedError(pause)
        if self._waiting or not self._free():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if first:
                self._waiting.appendleft(turn)
            else:
                self._waiting.append(turn)
            self._wake()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and turn.exception() is None:
                    self.release()  # the turn came and nobody takes it
                raise
        else:
            self._enter()
        return Slot(self._clock())

    def release(self) -> None:
        """Give a turn back."""
        self.in_flight -= 1
        self._wake()

    def succeeded(self) -> None:
        """The endpoint coped: allow more, if what is allowed was in use."""
        if self.limit >= 2 * self._peak:
            return  # what is allowed is not in use: nothing is known about more
        step = 1.0 if self.limit < self._threshold else 1.0 / self.limit
        self.limit = min(self.maximum, self.limit + step)
        self._wake()

    def overloaded(self, slot: Slot, retry_after_seconds: float = 0.0) -> None:
        """The endpoint refused, failed or hung: allow half, and nothing at all for as long as it asked."""
        now = self._clock()
        self._paused_until = max(self._paused_until, now + retry_after_seconds)
        if retry_after_seconds > self._longest_pause:
            self._send_away(retry_after_seconds)
        if slot.started <= self._last_cut:
            return
        self._last_cut = now
        self.limit = max(1.0, self.limit * _CUT)
        self._threshold = self.limit
        self._peak = 0

    def _enter(self) -> None:
        self.in_flight += 1
        self._peak = max(self._peak, self.in_flight)

    def _pause(self) -> float:
        return self._paused_until - self._clock()

    def _send_away(self, seconds: float) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(PausedError(seconds))

    def _free(self) -> bool:
        return self.in_flight < int(self.limit) and self._pause() <= 0

    def _wake(self) -> None:
        while self._waiting and self._free():
            turn = self._waiting.popleft()
            if not turn.done():
                self._enter()
                turn.set_result(None)
        pause = self._pause()
        if self._waiting and pause > 0 and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(pause, self._resume)

    def _resume(self) -> None:
        self._timer = None
        self._wake()
