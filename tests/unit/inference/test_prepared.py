"""Subjects are prepared once, kept while used, closed when there are too many."""

import asyncio
from typing import Any

import pytest

from services.inference.service.prepared import Prepared


class Subject:
    def __init__(self, name: str, closed: list[str]) -> None:
        self.name = name
        self._closed = closed

    async def close(self) -> None:
        self._closed.append(self.name)


class Maker:
    """Prepares subjects and remembers."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.closed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def __call__(self, name: str) -> Any:
        async def prepare() -> Any:
            self.made.append(name)
            await self.gate.wait()
            if name == "broken":
                raise ValueError(name)
            return Subject(name, self.closed)

        return prepare


@pytest.fixture
def maker() -> Maker:
    return Maker()


async def use(prepared: Prepared[Any], maker: Maker, name: str, version: int = 0) -> str:
    async with prepared.use(name, version, maker(name)) as subject:
        return str(subject.name)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_callers_at_once_prepare_once(maker: Maker) -> None:
    prepared: Prepared[Any] = Prepared(2)
    maker.gate.clear()
    calls = [asyncio.create_task(use(prepared, maker, "a")) for _ in range(10)]
    await settle()
    maker.gate.set()
    assert await asyncio.gather(*calls) == ["a"] * 10
    assert maker.made == ["a"]


async def test_the_least_recently_used_is_closed_when_there_are_too_many(maker: Maker) -> None:
    prepared: Prepared[Any] = Prepared(2)
    for name in ("a", "b", "a", "c"):
        await use(prepared, maker, name)
    await settle()
    assert maker.closed == ["b"]
    await use(prepared, maker, "a")
    assert maker.made == ["a", "b", "c"]


async def test_a_subject_in_use_is_never_closed(maker: Maker) -> None:
    prepared: Prepared[Any] = Prepared(1)
    async with prepared.use("a", 0, maker("a")):
        await use(prepared, maker, "b")
        await use(prepared, maker, "c")
        await settle()
        assert "a" not in maker.closed
    await settle()
    assert len(maker.closed) == 2


async def test_another_version_replaces_the_old_one_after_its_last_use(maker: Maker) -> None:
    prepared: Prepared[Any] = Prepared(5)
    async with prepared.use("a", 1, maker("a")):
        await use(prepared, maker, "a", version=2)
        await settle()
        assert maker.closed == []
    await settle()
    assert maker.made == ["a", "a"]
    assert maker.closed == ["a"]


async def test_a_failure_reaches_everyone_who_waits_and_is_not_kept(maker: Maker) -> None:
    prepared: Prepared[Any] = Prepared(2)
    maker.gate.clear()
    calls = [asyncio.create_task(use(prepared, maker, "broken")) for _ in range(2)]
    await settle()
    maker.gate.set()
    assert [type(found) for found in await asyncio.gather(*calls, return_exceptions=True)] == [ValueError] * 2
    with pytest.raises(ValueError, match="broken"):
        await use(prepared, maker, "broken")
    assert maker.made == ["broken"] * 2


async def test_one_callers_cancellation_is_not_the_others(maker: Maker) -> None:
    prepared: Prepared[Any] = Prepared(2)
    maker.gate.clear()
    first, second = (asyncio.create_task(use(prepared, maker, "a")) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    maker.gate.set()
    assert await second == "a"


async def test_closing_closes_everything(maker: Maker) -> None:
    prepared: Prepared[Any] = Prepared(5)
    await use(prepared, maker, "a")
    await use(prepared, maker, "b")
    await prepared.close()
    assert sorted(maker.closed) == ["a", "b"]
