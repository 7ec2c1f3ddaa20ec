"""Batches over streams that may break: what has no answer yet is sent again, and only that."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from chassis.clients import stream
from chassis.errors import CandorError, Reason

# The stream broke on its way. What the service itself says is not asked for twice: it has tried before.
_BROKEN = (Reason.SERVICE_UNAVAILABLE, Reason.DEADLINE_EXCEEDED)
_FRUITLESS = 3  # streams in a row without a single answer
_CHARACTERS = 2_000_000  # in one request; at most four bytes each, half of the largest message


class Answer(Protocol):
    """A streamed answer."""

    @property
    def index(self) -> int:
        """Position in the request."""
        ...


Found = TypeVar("Found", bound=Answer)


async def resending(
    service: str, sizes: Sequence[int], call: Callable[[list[int]], AsyncIterable[Found]]
) -> AsyncIterator[tuple[int, Found]]:
    """(index, answer) of every item, in the order they finish, each once.

    Args:
        service: Its name, for errors.
        sizes: Characters of each item: a request takes as many items as fit.
        call: Opens a stream for these items; an answer's index is a position in the list it was given.

    Raises:
        CandorError: What the service says; or the last break, when streams keep breaking without an answer.
    """
    missing = list(range(len(sizes)))
    fruitless = 0
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
            if error.reason not in _BROKEN:
                raise
            broken = error
        missing = [index for index in missing if index not in done]
        fruitless = 0 if done else fruitless + 1
        if fruitless == _FRUITLESS:
            raise broken


def _fitting(missing: list[int], sizes: Sequence[int]) -> list[int]:
    total = 0
    for count, index in enumerate(missing):
        total += sizes[index]
        if count and total > _CHARACTERS:
            return missing[:count]
    return missing
