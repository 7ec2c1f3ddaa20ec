"""Bounded concurrency, each index once, and a clean end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from chassis.fan_out import fan_out


class GoneError(CandorError):
    """Nobody is there any more."""


_GONE = GoneError(Reason.ENDPOINT_UNAVAILABLE, "gone")


async def _delivered(outcomes: AsyncIterator[tuple[int, Any]], error: type[Exception]) -> dict[int, Any]:
    """What leaves before the error."""
    found: dict[int, Any] = {}

    async def take() -> None:
        async for index, outcome in outcomes:
            found[index] = outcome
            await asyncio.sleep(0.001)  # slower than those who answer

    with pytest.raises(error):
        await take()
    return found


async def test_each_index_leaves_once_as_soon_as_it_is_done() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def answer(item: int) -> str:
        await gates[item].wait()
        return f"reply {item}"

    outcomes = fan_out(range(3), answer, width=3)
    gates[2].set()
    assert await anext(outcomes) == (2, "reply 2")
    gates[0].set()
    assert await anext(outcomes) == (0, "reply 0")
    gates[1].set()
    assert [outcome async for outcome in outcomes] == [(1, "reply 1")]


async def test_no_more_than_width_run_at_once() -> None:
    running = most = 0

    async def answer(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return item

    found = [outcome async for outcome in fan_out(range(50), answer, width=7)]
    assert sorted(found) == [(item, item) for item in range(50)]
    assert most == 7


async def test_an_items_error_is_its_outcome() -> None:
    async def answer(item: int) -> int:
        if item == 1:
            raise CandorError(Reason.EMPTY_REPLY, "nothing")
        return item

    found = dict([outcome async for outcome in fan_out(range(3), answer, width=1)])
    assert found[0] == 0
    assert found[2] == 2
    assert isinstance(found[1], CandorError)


@pytest.mark.parametrize("error", [_GONE, KeyError("a defect")], ids=["gone", "a defect"])
async def test_what_is_under_way_when_the_batch_ends_is_delivered_first_and_nothing_new_is_begun(
    error: Exception,
) -> None:
    started = []
    broken = asyncio.Event()

    async def answer(item: int) -> int:
        started.append(item)
        await asyncio.sleep(0)  # the others begin
        if item == 0:
            broken.set()
            raise error
        await broken.wait()
        if item == 2:
            raise CandorError(Reason.EMPTY_REPLY, "nothing")
        return item

    outcomes = fan_out(range(100), answer, width=4, ends=GoneError, settle_seconds=600)
    found = await _delivered(outcomes, type(error))
    assert started == [0, 1, 2, 3]
    assert (found[1], found[3], found.keys()) == (1, 3, {1, 2, 3})
    assert isinstance(found[2], CandorError)


@pytest.mark.parametrize("error", [_GONE, KeyError("a defect")], ids=["gone", "a defect"])
async def test_calls_that_hang_are_cut_when_the_batch_ends(error: Exception) -> None:
    cut = []

    async def answer(item: int) -> int:
        await asyncio.sleep(0)  # the others begin
        if item == 0:
            raise error
        try:
            await asyncio.Event().wait()
        finally:
            cut.append(item)
        return item

    with pytest.raises(type(error)):
        await anext(fan_out(range(100), answer, width=4, ends=GoneError, settle_seconds=0.01))
    assert cut == [1, 2, 3]
    assert len(asyncio.all_tasks()) == 1


async def test_a_caller_who_is_slow_to_take_outcomes_loses_none_of_them() -> None:
    async def answer(item: int) -> int:
        if item == 9:
            raise _GONE
        return item

    outcomes = fan_out(range(10), answer, width=10, ends=GoneError, settle_seconds=0.0)
    assert list(await _delivered(outcomes, GoneError)) == list(range(9))


async def test_several_that_meet_the_end_at_once_are_one_end() -> None:
    async def answer(item: int) -> int:
        await asyncio.sleep(0)  # the others begin
        if item % 2:
            raise _GONE
        await asyncio.sleep(0)
        return item

    outcomes = fan_out(range(100), answer, width=10, ends=GoneError, settle_seconds=600)
    assert sorted(await _delivered(outcomes, GoneError)) == [0, 2, 4, 6, 8]


async def test_a_caller_who_leaves_ends_the_workers() -> None:
    async def answer(item: int) -> int:
        if item:
            await asyncio.Event().wait()
        return item

    async with aclosing(fan_out(range(10), answer, width=3)) as outcomes:
        assert await anext(outcomes) == (0, 0)
    assert len(asyncio.all_tasks()) == 1


async def test_nothing_to_do_is_nothing_done() -> None:
    async def answer(item: int) -> int:
        return item

    assert [outcome async for outcome in fan_out([], answer, width=3)] == []
