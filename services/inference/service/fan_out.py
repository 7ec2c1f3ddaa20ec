"""Answer many prompts with bounded concurrency; outcomes leave as they finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.errors import CandorError
from services.inference.ports import WholeSubjectError

Item = TypeVar("Item")
Result = TypeVar("Result")


async def fan_out(
    items: Sequence[Item], answer: Callable[[Item], Awaitable[Result]], width: int
) -> AsyncGenerator[tuple[int, Result | CandorError]]:
    """Call `answer` on every item, `width` at a time; each index leaves exactly once.

    A CandorError is that item's outcome. WholeSubjectError, and any error that is no CandorError, ends everything.
    """
    done: asyncio.Queue[tuple[int, Result | CandorError] | asyncio.Task[None]] = asyncio.Queue()
    remaining = iter(enumerate(items))

    async def work() -> None:
        for index, item in remaining:
            outcome: Result | CandorError
            try:
                outcome = await answer(item)
            except WholeSubjectError:
                raise
            except CandorError as error:
                outcome = error
            done.put_nowait((index, outcome))

    workers = [asyncio.create_task(work()) for _ in range(min(width, len(items)))]
    for worker in workers:
        worker.add_done_callback(done.put_nowait)  # only a failed one matters: it raises below
    try:
        left = len(items)
        while left:
            event = await done.get()
            if isinstance(event, asyncio.Task):
                event.result()
                continue
            left -= 1
            yield event
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
