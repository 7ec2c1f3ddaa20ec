"""Calls to services that may go away for a while: a pod that is replaced must not end a run.

Batches are streams: what has no answer yet is sent again, and only that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from chassis.clients import stream, translated
from chassis.errors import CandorError, Reason
from chassis.llm.waiting import Backoff
from chassis.requests import MESSAGE_CHARS

# The stream broke on its way, or the service has no room for us now. What the service itself says is not asked for twice: it has tried before.
BROKEN = (Reason.SERVICE_UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.CALLER_LIMITED)
_BACKOFF = Backoff(first_seconds=0.5, longest_seconds=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a service may be away, and how often it is tried meanwhile.

    Attributes:
        seconds: Longest time without an answer, from the first try that had none.
        backoff: Pauses between tries.
        clock: Seconds that only grow.
        sleep: Waits for so many seconds.
        retried: Told why each try had no answer that is made again.
    """

    seconds: float = 120.0  # a replaced pod is back in some seconds, one that loads a model in a minute
    backoff: Backoff = _BACKOFF
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    retried: Callable[[Reason], None] = lambda _reason: None


PATIENCE = Patience()


class Answer(Protocol):
    """A streamed answer."""

    @property
    def index(self) -> int:
        """Position in the request."""
        ...


Found = TypeVar("Found", bound=Answer)
Result = TypeVar("Result")


async def patiently(service: str, call: Callable[[], Awaitable[Result]], patience: Patience = PATIENCE) -> Result:
    """The result of a call that answers once, made again while the service is away.

    Raises:
        CandorError: What the service says; or SERVICE_UNAVAILABLE, when it stays away.
    """
    outage = _Outage(patience)
    while True:
        try:
            with translated(service):
                return await call()
        except CandorError as error:
            if error.reason not in (Reason.SERVICE_UNAVAILABLE, Reason.CALLER_LIMITED):
                raise
            await outage.wait(error)


async def resending(
    service: str,
    sizes: Sequence[int],
    call: Callable[[list[int]], AsyncIterable[Found]],
    patience: Patience = PATIENCE,
) -> AsyncIterator[tuple[int, Found]]:
    """(index, answer) of every item, in the order they finish, each once.

    Args:
        service: Its name, for errors.
        sizes: Characters of each item: a request takes as many items as fit.
        call: Opens a stream for these items; an answer's index is a position in the list it was given.
        patience: How long streams may break without an answer.

    Raises:
        CandorError: What the service says; or the last break, when patience is at its end.
    """
    missing = list(range(len(sizes)))
    outage = _Outage(patience)
    while missing:
        part = _fitting(missing, sizes)
        done: set[int] = set()
        broken = CandorError(Reason.SERVICE_UNAVAILABLE, f"{service}: the stream ended before its last answer")
        try:
            async for answer in stream(service, call(part)):
                index = part[answer.index]
                done.add(index)
                yield index, answer
        except CandorError as error:
            if error.reason not in BROKEN:
                raise
            broken = error
        missing = [index for index in missing if index not in done]
        if done:
            outage.over()
        else:
            await outage.wait(broken)


class _Outage:
    """The time since tries began to have no answer."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._tries = 0
        self._since = 0.0

    def over(self) -> None:
        """There was an answer."""
        self._tries = 0

    async def wait(self, broken: CandorError) -> None:
        """Pause before the next try. Raises what broke this one when it has been too long."""
        patience = self._patience
        self._tries += 1
        if self._tries == 1:
            self._since = patience.clock()
        away = patience.clock() - self._since
        if away >= patience.seconds:
            message = f"{broken.message} (no answer for {away:.0f} s)"
            raise CandorError(broken.reason, message, metadata=broken.metadata) from broken
        patience.retried(broken.reason)
        await patience.sleep(patience.backoff.wait(self._tries))


def _fitting(missing: list[int], sizes: Sequence[int]) -> list[int]:
    total = 0
    for count, index in enumerate(missing):
        total += sizes[index]
        if count and total > MESSAGE_CHARS:
            return missing[:count]
    return missing
