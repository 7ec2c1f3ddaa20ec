"""Streams that break: only what has no answer yet is sent again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.resend import resending


@dataclass(frozen=True)
class Item:
    index: int


def _broken(code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> grpc.aio.AioRpcError:
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, empty, details="gone")


class Service:
    """Answers so many items of each request in reverse order, then breaks."""

    def __init__(self, *answers: int, code: grpc.StatusCode | None = grpc.StatusCode.UNAVAILABLE) -> None:
        self.answers = list(answers)
        self.code = code
        self.asked: list[list[int]] = []

    async def call(self, part: list[int]) -> AsyncIterator[Item]:
        self.asked.append(part)
        count = self.answers.pop(0) if self.answers else len(part)
        for index in reversed(range(len(part))[:count]):
            yield Item(index)
        if count < len(part) and self.code is not None:
            raise _broken(self.code)


async def _all(service: Service, sizes: list[int]) -> list[int]:
    return [index async for index, _ in resending("inference", sizes, service.call)]


async def test_a_break_sends_only_the_rest_again() -> None:
    service = Service(2, 0, 0, 1)
    assert sorted(await _all(service, [1] * 5)) == [0, 1, 2, 3, 4]
    assert service.asked == [[0, 1, 2, 3, 4], [2, 3, 4], [2, 3, 4], [2, 3, 4], [3, 4]]


async def test_three_breaks_without_an_answer_are_the_end() -> None:
    service = Service(1, 0, 0, 0)
    with pytest.raises(CandorError, match="gone") as caught:
        await _all(service, [1] * 3)
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
    assert len(service.asked) == 4


async def test_a_stream_that_ends_early_is_a_break_too() -> None:
    service = Service(1, 1, code=None)
    assert sorted(await _all(service, [1] * 3)) == [0, 1, 2]


async def test_what_the_service_says_is_not_asked_for_twice() -> None:
    service = Service(1, code=grpc.StatusCode.INVALID_ARGUMENT)
    with pytest.raises(CandorError):
        await _all(service, [1] * 3)
    assert len(service.asked) == 1


async def test_long_texts_are_sent_in_several_requests() -> None:
    service = Service()
    assert sorted(await _all(service, [1_500_000, 400_000, 400_000, 5_000_000, 1])) == [0, 1, 2, 3, 4]
    assert service.asked == [[0, 1], [2], [3], [4]]
