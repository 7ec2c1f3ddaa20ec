"""Bounded concurrency, each index once, and a clean end."""

import asyncio
from contextlib import aclosing

import pytest

from chassis.errors import CandorError, Reason
from services.inference.ports import WholeSubjectError
from services.inference.service.fan_out import fan_out


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


@pytest.mark.parametrize("error", [WholeSubjectError(Reason.ENDPOINT_UNAVAILABLE, "gone"), KeyError("a defect")])
async def test_an_error_about_the_whole_subject_ends_everything(error: Exception) -> None:
    started = []

    async def answer(item: int) -> int:
        started.append(item)
        if item == 0:
            raise error
        await asyncio.Event().wait()
        return item

    with pytest.raises(type(error)):
        await anext(fan_out(range(100), answer, width=4))
    assert len(started) <= 4
    assert len(asyncio.all_tasks()) == 1


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
