"""Batches: full ones at once, others after a moment, and nothing lost when the end comes."""

import asyncio

import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.service.run.batcher import Batcher

_LONG = 3600.0


async def test_a_full_batch_leaves_at_once_and_the_rest_when_drained() -> None:
    seen: list[list[int]] = []

    async def flush(batch: list[int]) -> None:
        seen.append(batch)

    batcher = Batcher(flush, size=3, seconds=_LONG)
    for number in range(7):
        batcher.put(number)
    await batcher.drained()
    assert [number for batch in seen for number in batch] == list(range(7))
    assert all(len(batch) <= 3 for batch in seen)
    batcher.put(7)
    await batcher.close(flush=True)
    assert seen[-1] == [7]


async def test_a_lonely_item_waits_only_a_moment() -> None:
    flushed = asyncio.Event()

    async def flush(batch: list[int]) -> None:
        flushed.set()

    batcher = Batcher(flush, size=100, seconds=0.001)
    batcher.put(1)
    async with asyncio.timeout(5):
        await flushed.wait()
    await batcher.close(flush=False)


async def test_room_waits_while_too_much_is_queued() -> None:
    let_go = asyncio.Event()

    async def flush(batch: list[int]) -> None:
        await let_go.wait()

    batcher = Batcher(flush, size=1, seconds=0.0, parallel=2)

    async def fill() -> None:
        for number in range(100):
            await batcher.room()
            batcher.put(number)

    filling = asyncio.create_task(fill())
    done, _ = await asyncio.wait({filling}, timeout=0.05)
    assert not done
    let_go.set()
    await filling
    await batcher.close(flush=True)


async def test_what_a_flush_raises_reaches_whoever_puts_or_waits() -> None:
    async def flush(batch: list[int]) -> None:
        raise ZeroDivisionError

    batcher = Batcher(flush, size=1, seconds=0.0)
    batcher.put(1)
    with pytest.raises(ZeroDivisionError):
        await batcher.drained()
    with pytest.raises(ZeroDivisionError):
        batcher.put(2)
    with pytest.raises(ZeroDivisionError):
        await batcher.room()
    with pytest.raises(ZeroDivisionError):
        await batcher.close(flush=True)


async def test_what_could_not_be_flushed_is_tried_once_more_at_the_end_in_its_order() -> None:
    seen: list[int] = []
    troubles = [CandorError(Reason.LEDGER_LOCKED, "for a moment")]

    async def flush(batch: list[int]) -> None:
        if troubles:
            raise troubles.pop()
        seen.extend(batch)

    batcher = Batcher(flush, size=2, seconds=0.0)
    batcher.put(1)
    with pytest.raises(CandorError):
        await batcher.drained()
    for number in (2, 3, 4):
        with pytest.raises(CandorError):
            batcher.put(number)
    await batcher.close(flush=True)
    assert seen == [1, 2, 3, 4]


async def test_at_the_end_as_much_is_flushed_as_there_is_room_for() -> None:
    room = 100
    seen: list[int] = []

    async def flush(batch: list[int]) -> None:
        if len(seen) + len(batch) > room:
            raise CandorError(Reason.LEDGER_FULL, "the disk is full")
        seen.extend(batch)

    batcher = Batcher(flush, size=256, seconds=0.0)
    for number in range(120):
        batcher.put(number)
    with pytest.raises(CandorError, match="full"):
        await batcher.close(flush=True)
    assert seen == list(range(len(seen)))
    assert len(seen) > 80


async def test_what_cannot_be_flushed_at_the_end_either_is_told() -> None:
    async def flush(batch: list[int]) -> None:
        raise CandorError(Reason.LEDGER_FULL, "the disk is full")

    batcher = Batcher(flush, size=2, seconds=0.0)
    batcher.put(1)
    with pytest.raises(CandorError, match="full"):
        await batcher.close(flush=True)


async def test_a_flush_that_hangs_is_cut_when_the_patience_ends() -> None:
    async def flush(batch: list[int]) -> None:
        await asyncio.Event().wait()

    batcher = Batcher(flush, size=1, seconds=0.0)
    batcher.put(1)
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await batcher.close(flush=False, seconds=0.01)
    assert len(asyncio.all_tasks()) == 1


async def test_closing_without_a_flush_drops_what_is_queued_but_ends_what_is_under_way() -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()
    ended: list[int] = []

    async def flush(batch: list[int]) -> None:
        begun.set()
        await let_go.wait()
        ended.extend(batch)

    batcher = Batcher(flush, size=1, seconds=0.0)
    batcher.put(1)
    batcher.put(2)
    await begun.wait()
    closing = asyncio.create_task(batcher.close(flush=False))
    let_go.set()
    await closing
    assert ended == [1]
