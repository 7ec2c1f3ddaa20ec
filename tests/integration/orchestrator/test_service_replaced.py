"""A service whose pod is replaced in mid-run: the batch goes on, and what was answered is not asked again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from candor.grader.v1 import grader_pb2, grader_pb2_grpc

from chassis.clients import Target, connect
from services.orchestrator.backends.grader_grpc import GrpcGrader
from services.orchestrator.backends.resend import Patience
from services.orchestrator.ports import Case

_ITEMS = 6


class Grader(grader_pb2_grpc.GraderServiceServicer):
    """Grades so many cases of a batch, and then takes for ever."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []

    async def GradeAnswers(  # noqa: N802 (gRPC's name)
        self, request: Any, context: Any
    ) -> AsyncIterator[Any]:
        self.asked.append([case.question for case in request.cases])
        for index in range(len(request.cases)):
            if index == self.answers:
                await asyncio.Event().wait()
            yield grader_pb2.GradeAnswersResponse(index=index, grade=grader_pb2.AnswerGrade(verdict="correct"))


async def _serve(grader: Grader, port: int = 0) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    grader_pb2_grpc.add_GraderServiceServicer_to_server(grader, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, port


async def test_a_batch_survives_the_replacement_of_the_pod_that_works_on_it() -> None:
    old, new = Grader(answers=2), Grader(answers=_ITEMS)
    server, port = await _serve(old)
    servers = [server]
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:  # nobody listened at five tries in a row
            servers.append((await _serve(new, port))[0])

    channel = connect(Target(f"127.0.0.1:{port}"))
    grader = GrpcGrader(channel, Patience(clock=lambda: 0.0, sleep=pause))
    cases = [
        Case(question=f"q{n}", gold=("a",), false_answers=(), kind="", belief="none", reply="a") for n in range(_ITEMS)
    ]
    graded = []
    async with asyncio.timeout(60):
        async for index, _grade in grader.grade(cases, None, "candor"):
            graded.append(index)
            if len(graded) == 2:
                await server.stop(grace=0)
    assert sorted(graded) == list(range(_ITEMS))
    assert old.asked == [["q0", "q1", "q2", "q3", "q4", "q5"]]
    assert new.asked == [["q2", "q3", "q4", "q5"]]
    await channel.close()
    for each in servers:
        await each.stop(grace=0)
