"""What was made ready: each once (single flight), the least recently used closed when there are too many."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What can be prepared and let go of: a subject, a base in memory, an engine."""

    async def close(self) -> None:
        """Free what it holds; nothing is asked of it afterwards."""
        ...


Thing = TypeVar("Thing", bound=Closable)


@dataclass(slots=True, eq=False)
class _Entry(Generic[Thing]):
    version: Hashable
    ready: asyncio.Future[Thing]
    users: int = 0
    dropped: bool = False

    @property
    def failed(self) -> bool:
        return self.ready.done() and (self.ready.cancelled() or self.ready.exception() is not None)


class Prepared(Generic[Thing]):
    """A cache by key, one version of each. What is in use is never closed.

    Args:
        capacity: How many are kept while nobody uses them, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, _Entry[Thing]] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(
        self, key: Hashable, version: Hashable, prepare: Callable[[], Awaitable[Thing]]
    ) -> AsyncIterator[Thing]:
        """The one of `key`, prepared if there is none of this version.

        Raises what `prepare` raises, to everyone who waits; a failure is not kept.
        """
        entry = self._entries.get(key)
        if entry is not None and (entry.version != version or entry.failed):
            self._drop(self._entries.pop(key))
            entry = None
        if entry is None:
            entry = self._entries[key] = _Entry(version, asyncio.ensure_future(prepare()))
        self._entries.move_to_end(key)
        entry.users += 1
        try:
            # Shielded: one caller's cancellation is not the others'.
            yield await asyncio.shield(entry.ready)
        finally:
            entry.users -= 1
            if entry.dropped and not entry.users:
                self._close(entry)
            self._shrink()

    async def close(self) -> None:
        """Close everything, what is in use as well."""
        for entry in self._entries.values():
            self._close(entry)
        self._entries.clear()
        await asyncio.gather(*self._closing)

    def _shrink(self) -> None:
        idle = [key for key, entry in self._entries.items() if not entry.users]
        for key in idle[: max(0, len(self._entries) - self._capacity)]:
            self._drop(self._entries.pop(key))

    def _drop(self, entry: _Entry[Thing]) -> None:
        entry.dropped = True
        if not entry.users:
            self._close(entry)

    def _close(self, entry: _Entry[Thing]) -> None:
        task = asyncio.ensure_future(_close_when_ready(entry))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close_when_ready(entry: _Entry[Thing]) -> None:
    await asyncio.wait([entry.ready])
    if not entry.failed:
        await entry.ready.result().close()
