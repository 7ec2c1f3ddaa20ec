"""Engines of a server: each keeps its place for as long as it runs."""

from collections.abc import Mapping
from typing import Any

from services.inference.backends.vllm.engines import Engines


class FakeEngine:
    failed = False
    ended = False

    async def ready(self) -> None:
        """At once."""

    async def close(self) -> None:
        self.ended = True


async def _use(engines: Engines, base: str) -> Any:
    make: Any = FakeEngine
    async with engines.use(base, 1, make) as engine:
        return engine


async def test_an_engine_keeps_its_place_whoever_is_used_after_it() -> None:
    engines = Engines(2)
    first, second = await _use(engines, "a"), await _use(engines, "b")
    assert await _use(engines, "a") is first
    assert engines.running() == {0: first, 1: second}


async def test_one_that_makes_room_leaves_its_place_to_the_next() -> None:
    engines = Engines(2)
    first, second = await _use(engines, "a"), await _use(engines, "b")
    third = await _use(engines, "c")
    assert first.ended
    assert not second.ended
    running: Mapping[int, Any] = engines.running()
    assert running == {0: third, 1: second}
    await engines.close()
    assert engines.running() == {}
    assert second.ended
    assert third.ended
