"""A training job outlives every stream that tells of it, and the trainer's pod."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from candor.trainer.v1 import trainer_pb2 as pb
from candor.trainer.v1 import trainer_pb2_grpc

from chassis.clients import Target, connect
from chassis.errors import CandorError, Reason
from chassis.llm.waiting import Backoff
from services.orchestrator.backends.resend import Patience
from services.orchestrator.backends.trainer_grpc import GrpcTrainer

JOB = "trainingJobs/one"


class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Tells one event more in each stream, or none, and breaks it; the last stream comes to its end.

    Args:
        told: Events of each stream.
    """

    def __init__(self, *told: int) -> None:
        self.told = list(told)
        self.asked: list[int] = []

    async def WatchTrainingJob(self, request: Any, context: Any) -> AsyncIterator[pb.TrainingEvent]:  # noqa: N802
        self.asked.append(request.after_sequence)
        count = self.told.pop(0)
        for place in range(1, count + 1):
            yield pb.TrainingEvent(sequence=request.after_sequence + place, state="RUNNING")
        if self.told:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "max connection age")

    async def GetTrainingJob(self, request: Any, context: Any) -> pb.TrainingJob:  # noqa: N802
        return pb.TrainingJob(name=request.name, state="RUNNING")


@asynccontextmanager
async def serving(trainer: Trainer, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    trainer_pb2_grpc.add_TrainerServiceServicer_to_server(trainer, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


class Time:
    """Passes only while somebody waits.

    Args:
        events: What happens while the first wait lasts, the second, and so on.
    """

    def __init__(self, *events: Callable[[], Awaitable[Any]]) -> None:
        self.now = 0.0
        self.events = list(events)
        backoff = Backoff(first_seconds=300.0, longest_seconds=300.0)
        self.patience = Patience(seconds=120.0, backoff=backoff, clock=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.events:
            await self.events.pop(0)()


async def nothing() -> None:
    """Nothing happens."""


async def watched(port: int, time: Time) -> list[int]:
    async with connect(Target(f"127.0.0.1:{port}")) as channel:
        return [step.sequence async for step in GrpcTrainer(channel, time.patience).watch(JOB, 0)]


async def test_a_job_that_says_nothing_is_watched_through_any_number_of_streams() -> None:
    trainer = Trainer(*[0] * 12, 2, 0, 0, 1)
    async with serving(trainer) as port:
        assert await watched(port, Time()) == [1, 2, 3]
    assert trainer.asked[-1] == 2, "where the last stream broke"


async def test_the_job_is_found_again_when_the_trainers_pod_is_back() -> None:
    async with AsyncExitStack() as before, AsyncExitStack() as after:
        port = await before.enter_async_context(serving(Trainer(1, 0)))

        async def back() -> None:
            await after.enter_async_context(serving(Trainer(2), port))

        assert await watched(port, Time(before.aclose, nothing, back)) == [1, 2, 3]


async def test_a_trainer_that_stays_away_is_an_error() -> None:
    async with serving(Trainer(0)) as port:
        pass
    time = Time()
    with pytest.raises(CandorError) as caught:
        await watched(port, time)
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
    assert time.now >= 900, "a node that pulls the trainer's image takes its time"
