"""Collects items and hands them on in batches: as soon as there are enough, or after a moment."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from chassis.errors import CandorError

Item = TypeVar("Item")
_PIECE = 16


class Signal:
    """Wakes every waiter when something changed; the waiters look for themselves what it was."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        """Wake all."""
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds; it is looked at after each `fire`."""
        while not holds():
            await self._event.wait()


class Batcher(Generic[Item]):
    """A queue with a worker. What a flush raises ends the flushing, and is raised again by `put`, `room` and `drained`.

    Args:
        flush: Takes a batch.
        size: Most items in a batch.
        seconds: Longest wait for further items after the first.
        parallel: Batches under way at once.
    """

    def __init__(
        self, flush: Callable[[list[Item]], Awaitable[None]], *, size: int, seconds: float, parallel: int = 1
    ) -> None:
        self._flush = flush
        self._size = size
        self._seconds = seconds
        self._parallel = parallel
        self._items: list[Item] = []
        self._under_way = 0
        self._hurried = 0
        self._error: BaseException | None = None
        self._changed = Signal()
        self._flushes: set[asyncio.Task[None]] = set()
        self._worker = asyncio.create_task(self._work())

    def put(self, item: Item) -> None:
        """Add an item, at once: what has arrived never waits. Whoever makes new items waits for `room` first.

        After an error the item is kept as well, for the last try of `close`.
        """
        self._items.append(item)
        if len(self._items) in (1, self._size):
            self._changed.fire()
        self._raise()

    async def room(self) -> None:
        """Return when few enough items are queued that more may come."""
        most = 4 * self._size * self._parallel
        if len(self._items) >= most:
            await self._changed.until(lambda: len(self._items) < most or self._error is not None)
        self._raise()

    async def drained(self) -> None:
        """Return once everything put so far has been flushed."""
        self._hurried += 1
        self._changed.fire()
        try:
            await self._changed.until(
                lambda: (not self._items and not self._under_way and not self._flushes) or self._error is not None
            )
        finally:
            self._hurried -= 1
        self._raise()

    async def close(self, *, flush: bool, seconds: float | None = None) -> None:
        """Stop.

        Args:
            flush: What is queued is flushed first; after a CandorError what it left is tried once more. Otherwise it is
                dropped.
            seconds: Longest wait for the flushes under way, which are cancelled then; None: until they end.
        """
        try:
            if flush:
                try:
                    await self.drained()
                except CandorError:
                    await self._once_more()
        finally:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
            await self._end_flushes(seconds)

    async def _once_more(self) -> None:
        await self._end_flushes(None)
        while self._items:
            # In small pieces: a disk that is nearly full takes as much as fits.
            await self._flush(self._items[:_PIECE])
            del self._items[:_PIECE]

    async def _end_flushes(self, seconds: float | None) -> None:
        flushes = set(self._flushes)
        if flushes:
            _, late = await asyncio.wait(flushes, timeout=seconds)
            for flush in late:
                flush.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    async def _work(self) -> None:
        while True:
            await self._changed.until(lambda: bool(self._items))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._changed.until(lambda: len(self._items) >= self._size or self._hurried > 0)
            await self._changed.until(lambda: self._under_way < self._parallel)
            if self._error is not None:
                return
            batch, self._items = self._items[: self._size], self._items[self._size :]
            self._under_way += 1
            task = asyncio.ensure_future(self._flush(batch))
            self._flushes.add(task)
            task.add_done_callback(functools.partial(self._done, batch))
            self._changed.fire()

    def _done(self, batch: list[Item], task: asyncio.Task[None]) -> None:
        self._flushes.discard(task)
        self._under_way -= 1
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._items = batch + self._items
            self._error = self._error or error
        self._changed.fire()
