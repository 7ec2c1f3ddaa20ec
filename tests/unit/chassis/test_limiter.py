"""Adaptive concurrency with a clock of its own."""

import asyncio

import pytest

from chassis.llm.limiter import AdaptiveLimiter, PausedError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def full_round(limiter: AdaptiveLimiter) -> None:
    """As many requests as are allowed, all at once, all good."""
    count = int(limiter.limit)
    for _ in range(count):
        await limiter.acquire()
    for _ in range(count):
        limiter.succeeded()
        limiter.release()


async def test_it_doubles_per_round_until_the_first_cut_and_then_grows_by_one(clock: Clock) -> None:
    limiter = AdaptiveLimiter(4, 64, clock)
    await full_round(limiter)
    assert limiter.limit == 8

    slot = await limiter.acquire()
    clock.now = 1.0
    limiter.overloaded(slot)
    limiter.release()
    assert limiter.limit == 4

    await full_round(limiter)
    assert 4.5 < limiter.limit <= 5


async def test_growth_stops_at_the_maximum(clock: Clock) -> None:
    limiter = AdaptiveLimiter(4, 6, clock)
    for _ in range(5):
        await full_round(limiter)
    assert limiter.limit == 6


async def test_an_idle_endpoint_earns_no_higher_limit(clock: Clock) -> None:
    limiter = AdaptiveLimiter(4, 64, clock)
    for _ in range(100):
        await limiter.acquire()
        limiter.succeeded()
        limiter.release()
    assert limiter.limit == 4


async def test_a_burst_of_refusals_counts_once(clock: Clock) -> None:
    limiter = AdaptiveLimiter(16, 64, clock)
    slots = [await limiter.acquire() for _ in range(16)]
    clock.now = 1.0
    for slot in slots:
        limiter.overloaded(slot)
    assert limiter.limit == 8

    clock.now = 2.0
    later = slots[0]
    later.started = 1.5  # asked after the cut, and refused again
    limiter.overloaded(later)
    assert limiter.limit == 4


async def test_at_least_one_request_is_always_allowed(clock: Clock) -> None:
    limiter = AdaptiveLimiter(1, 64, clock)
    for second in range(1, 6):
        slot = await limiter.acquire()
        slot.started = clock.now = float(second)
        limiter.overloaded(slot)
        limiter.release()
    assert limiter.limit == 1
    await limiter.acquire()


async def test_who_waits_gets_a_turn_in_order_and_second_attempts_go_first(clock: Clock) -> None:
    limiter = AdaptiveLimiter(1, 1, clock)
    order: list[str] = []

    async def take(name: str, *, first: bool = False) -> None:
        await limiter.acquire(first=first)
        order.append(name)
        limiter.release()

    await limiter.acquire()
    waiting = [asyncio.create_task(take("a")), asyncio.create_task(take("b"))]
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(take("again", first=True)))
    await asyncio.sleep(0)
    assert order == []
    limiter.release()
    await asyncio.gather(*waiting)
    assert order == ["again", "a", "b"]
    assert limiter.in_flight == 0


async def test_retry_after_pauses_everyone(clock: Clock) -> None:
    limiter = AdaptiveLimiter(4, 4, clock)
    slot = await limiter.acquire()
    limiter.overloaded(slot, retry_after_seconds=500.0)
    limiter.release()
    task = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    assert not task.done()

    clock.now = 501.0
    limiter.release()  # any event looks again
    limiter.in_flight = 0
    await task


async def test_nobody_waits_out_a_pause_that_is_too_long(clock: Clock) -> None:
    limiter = AdaptiveLimiter(1, 1, clock, longest_pause_seconds=60.0)
    slot = await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.overloaded(slot, retry_after_seconds=3600.0)
    limiter.release()
    with pytest.raises(PausedError):
        await waiting
    with pytest.raises(PausedError):
        await limiter.acquire()
    clock.now = 3600.0
    await limiter.acquire()
    assert limiter.in_flight == 1


async def test_a_cancelled_wait_takes_no_turn(clock: Clock) -> None:
    limiter = AdaptiveLimiter(1, 1, clock)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.release()  # the turn is given ...
    waiting.cancel()  # ... and cancelled before it is taken
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limiter.in_flight == 0
