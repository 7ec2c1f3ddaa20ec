"""Whether the watch lives: the server keeps opening it, and what the operator writes comes back through it."""

from __future__ import annotations

from collections.abc import Callable


class Pulse:
    """Signs of life of the watches of evaluations.

    Args:
        clock: Seconds that only rise.
        silence_seconds: A watch that was not opened anew for so long is dead; so is one that brings nothing back so long
            after a write.
    """

    def __init__(self, clock: Callable[[], float], silence_seconds: float) -> None:
        self._clock = clock
        self._silence = silence_seconds
        self._started = clock()
        self._opened: dict[str, float] = {}
        self._written: dict[str, float] = {}

    def opened(self, path: str) -> None:
        """The server has opened the watch of this path."""
        self._opened[path] = self._clock()

    def writes(self, uid: str) -> float:
        """An object is about to be changed: the watch has to bring it, and may do so before the server's answer comes."""
        now = self._clock()
        self._written.setdefault(uid, now)
        return now

    def wrote_nothing(self, uid: str, began: float) -> None:
        """The write that began then has changed nothing; an earlier one still has to come back."""
        if self._written.get(uid) == began:
            del self._written[uid]

    def brought(self, uid: str) -> None:
        """The watch has brought an object."""
        self._written.pop(uid, None)

    def trouble(self) -> str:
        """Why the watch is taken for dead; empty while it lives."""
        now = self._clock()
        last = min(self._opened.values(), default=self._started)
        if now - last > self._silence:
            return f"no watch of evaluations was opened for {now - last:.0f} s"
        oldest = min(self._written.values(), default=now)
        if now - oldest > self._silence:
            return f"a change made {now - oldest:.0f} s ago has not come back through the watch"
        return ""

    def restart(self) -> None:
        """Nothing is expected of the past: another operator led."""
        self._started = self._clock()
        self._opened.clear()
        self._written.clear()
