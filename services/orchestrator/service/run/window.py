"""How many calls of an arm are under way: as many as allowed, and fewer while this process cannot keep up with the answers."""

from __future__ import annotations

import asyncio

from services.orchestrator.service.run.batcher import Signal

_LOOK_SECONDS = 0.05
# An answer passes the event loop about ten times from its socket to the ledger, so its way takes ten times this.
_TOO_LATE_SECONDS = 0.04
_IN_TIME_SECONDS = 0.015
_FEWEST = 16
_START = 64


class Window:
    """Room for calls under way.

    An answer that waits in this process is paid for and not stored yet: should the process die now, it would be asked for
    again. So the window follows how late the event loop runs. A slow endpoint leaves the loop idle, and the window opens.

    Args:
        most: Calls under way at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(_START, most)
        self._under_way = 0
        self._changed = Signal()
        self._watcher = asyncio.create_task(self._watch())

    async def take(self, calls: int) -> int:
        """Wait until a quarter of the window is free, and take room for at most so many calls."""
        await self._changed.until(lambda: self._room() >= min(calls, max(1, self.size // 4)))
        taken = min(calls, self._room())
        self._under_way += taken
        return taken

    def give(self, calls: int) -> None:
        """So many calls ended, or were not made."""
        self._under_way -= calls
        self._changed.fire()

    def close(self) -> None:
        """Stop watching."""
        self._watcher.cancel()

    def adapt(self, late_seconds: float) -> None:
        """The event loop ran so late."""
        if late_seconds > _TOO_LATE_SECONDS:
            self.size = max(min(_FEWEST, self._most), self.size * 3 // 4)
        elif late_seconds < _IN_TIME_SECONDS and self.size < self._most:
            self.size = min(self._most, self.size + max(1, self.size // 8))
            self._changed.fire()

    def _room(self) -> int:
        return self.size - self._under_way

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self.adapt(loop.time() - due)
