"""Streams that break: only what has no answer yet is sent again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.resend import Patience, patiently, resending


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


class Time:
    """Passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[Reason] = []
        self.patience = Patience(seconds=120.0, clock=lambda: self.now, sleep=self.sleep, retried=self.told.append)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def _all(service: Service, sizes: list[int], time: Time | None = None) -> list[int]:
    patience = (time or Time()).patience
    return [index async for index, _ in resending("inference", sizes, service.call, patience)]


async def test_a_break_sends_only_the_rest_again() -> None:
    service = Service(2, 0, 0, 1)
    assert sorted(await _all(service, [1] * 5)) == [0, 1, 2, 3, 4]
    assert service.asked == [[0, 1, 2, 3, 4], [2, 3, 4], [2, 3, 4], [2, 3, 4], [3, 4]]


async def test_every_try_without_an_answer_is_told() -> None:
    time = Time()
    await _all(Service(0, 0, 2, code=grpc.StatusCode.DEADLINE_EXCEEDED), [1, 1], time)
    assert time.told == [Reason.DEADLINE_EXCEEDED] * 2


async def test_a_service_that_is_replaced_is_waited_for() -> None:
    time = Time()

    class Replaced(Service):
        async def call(self, part: list[int]) -> AsyncIterator[Item]:
            if 100.0 <= time.now < 190.0 and self.asked:
                raise _broken()
            async for item in super().call(part):
                yield item

    service = Replaced(2)
    assert sorted(await _all(service, [1] * 5, time)) == [0, 1, 2, 3, 4]
    assert service.asked == [[0, 1, 2, 3, 4], [2, 3, 4]]
    assert 190.0 <= time.now < 205.0, "found soon after it came back"


async def test_a_service_that_stays_away_is_the_end() -> None:
    time = Time()
    service = Service(1, *[0] * 1000)
    with pytest.raises(CandorError, match="gone") as caught:
        await _all(service, [1] * 3, time)
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
    assert 220.0 <= time.now < 235.0
    assert len(service.asked) < 30, "it is not asked all the time"


async def test_every_answer_is_a_new_patience() -> None:
    time = Time()
    service = Service(*[0, 0, 0, 0, 0, 1] * 20)
    assert len(await _all(service, [1] * 20, time)) == 20
    assert time.now > 220.0


async def test_a_call_that_answers_once_is_repeated_while_the_service_is_away() -> None:
    time = Time()
    codes = [grpc.StatusCode.UNAVAILABLE] * 6

    async def describe() -> str:
        if codes:
            raise _broken(codes.pop())
        return "sha256:m"

    assert await patiently("inference", describe, time.patience) == "sha256:m"
    codes = [grpc.StatusCode.UNAVAILABLE] * 1000
    with pytest.raises(CandorError, match="inference: gone"):
        await patiently("inference", describe, time.patience)
    codes = [grpc.StatusCode.INVALID_ARGUMENT]
    with pytest.raises(CandorError):
        await patiently("inference", describe, time.patience)
    assert codes == [], "what the service says is final"


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
