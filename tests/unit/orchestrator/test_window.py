"""Calls under way: fewer while the process lags behind the answers."""

import asyncio

from services.orchestrator.service.run.window import Window


async def test_a_process_that_keeps_up_opens_the_window_and_one_that_lags_narrows_it() -> None:
    window = Window(256)
    start = window.size
    for _ in range(40):
        window.adapt(0.001)
    assert window.size == 256 > start
    for _ in range(40):
        window.adapt(0.2)
    assert window.size == 16
    window.adapt(0.025)
    assert window.size == 16, "neither late nor in time"
    window.close()


async def test_a_small_window_stays_small() -> None:
    window = Window(4)
    window.adapt(0.001)
    window.adapt(1.0)
    assert window.size == 4
    assert await window.take(64) == 4
    window.close()


async def test_room_is_taken_by_quarters_and_given_back() -> None:
    window = Window(8)
    assert await window.take(6) == 6
    assert await window.take(6) == 2, "what is free"
    waiting = asyncio.create_task(window.take(6))
    await asyncio.sleep(0)
    window.give(1)
    await asyncio.sleep(0)
    assert not waiting.done(), "a quarter of the window is 2"
    window.give(1)
    assert await waiting == 2
    window.close()
