"""Do many things with bounded concurrency; outcomes leave as they finish."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.errors import CandorError

Item = TypeVar("Item")
Result = TypeVar("Result")
Event = TypeVar("Event")

# Calls under way are paid for: once one of them ends a batch, the others get so long.
SETTLE_SECONDS = 5.0


async def fan_out(
    items: Sequence[Item],
    call: Callable[[Item], Awaitable[Result]],
    width: int,
    *,
    ends: type[CandorError] | tuple[()] = (),
    settle_seconds: float = SETTLE_SECONDS,
) -> AsyncGenerator[tuple[int, Result | CandorError]]:
    """Call every item, `width` at a time; each index leaves exactly once.

    A CandorError is that item's outcome. One of type `ends`, and any error that is no CandorError, ends the batch: no
    further item is called, calls under way get `settle_seconds` and their outcomes leave, then the error is raised. A
    caller who leaves ends all calls at once.
    """
    finished: asyncio.Queue[tuple[int, Result | CandorError] | asyncio.Task[None]] = asyncio.Queue()
    waiting = deque(enumerate(items))

    async def work() -> None:
        try:
            while waiting:
                index, item = waiting.popleft()
                finished.put_nowait((index, await _outcome(call, item, ends)))
        finally:
            waiting.clear()  # empty already, unless this call ends the batch

    workers = [asyncio.create_task(work()) for _ in range(min(width, len(items)))]
    for worker in workers:
        worker.add_done_callback(finished.put_nowait)
    failed: BaseException | None = None
    deadline: float | None = None
    try:
        at_work = len(workers)
        while at_work and (event := await _within(finished, deadline)) is not None:
            if not isinstance(event, asyncio.Task):
                yield event
                continue
            at_work -= 1
            error = event.exception()
            if error is not None and failed is None:
                failed, deadline = error, asyncio.get_running_loop().time() + settle_seconds
        if failed is not None:
            raise failed
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _outcome(
    call: Callable[[Item], Awaitable[Result]], item: Item, ends: type[CandorError] | tuple[()]
) -> Result | CandorError:
    try:
        return await call(item)
    except ends:
        raise
    except CandorError as error:
        return error


async def _within(queue: asyncio.Queue[Event], deadline: float | None) -> Event | None:
    """The next event; None if the deadline passes before there is one."""
    try:
        async with asyncio.timeout_at(deadline):
            return await queue.get()
    except TimeoutError:
        return None if queue.empty() else queue.get_nowait()
