"""The engines of a server: as many as fit, each with one base; an idle one makes room for another base."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.inference.backends.vllm.engine import Engine


@dataclass(slots=True, eq=False)
class _Slot:
    version: Hashable
    engine: Engine
    place: int
    users: int = 0


class Engines:
    """A bounded set of engines by base. One that is in use is never ended; a base that finds no room waits.

    Args:
        capacity: Engines that run at once, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        # Apart from the slots, whose order changes, also while another thread reads.
        self._places: list[Engine | None] = [None] * capacity
        self._changed = asyncio.Condition()

    def running(self) -> dict[int, Engine]:
        """Every engine that was made and not ended, by its place, which it keeps. From any thread."""
        return {place: engine for place, engine in enumerate(self._places) if engine is not None}

    @asynccontextmanager
    async def use(self, base: Hashable, version: Hashable, make: Callable[[], Engine]) -> AsyncIterator[Engine]:
        """The ready engine of a base. Raises WholeSubjectError when it cannot be started."""
        async with self._changed:
            slot = await self._slot(base, version, make)
            slot.users += 1
        try:
            await slot.engine.ready()
            yield slot.engine
        finally:
            async with self._changed:
                slot.users -= 1
                self._changed.notify_all()

    async def close(self) -> None:
        """End every engine."""
        await asyncio.gather(*(self._take_out(base).close() for base in list(self._slots)))

    async def _slot(self, base: Hashable, version: Hashable, make: Callable[[], Engine]) -> _Slot:
        while True:
            slot = self._slots.get(base)
            if slot is not None and slot.version == version and not slot.engine.failed:
                self._slots.move_to_end(base)
                return slot
            if slot is None and len(self._slots) < self._capacity:
                slot = self._slots[base] = _Slot(version, make(), self._places.index(None))
                self._places[slot.place] = slot.engine
                return slot
            # Another version, a failed engine, or no room: one that nobody uses has to go first.
            wanted = base if slot is not None else self._idle()
            if wanted is not None and not self._slots[wanted].users:
                await self._take_out(wanted).close()
            else:
                await self._changed.wait()

    def _take_out(self, base: Hashable) -> Engine:
        slot = self._slots.pop(base)
        self._places[slot.place] = None
        return slot.engine

    def _idle(self) -> Hashable:
        return next((base for base, slot in self._slots.items() if not slot.users), None)
