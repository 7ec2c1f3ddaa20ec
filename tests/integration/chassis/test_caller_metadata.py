"""Token and request id travel with every kind of call: unary, streamed answers, streamed requests."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from candor.grader.v1 import grader_pb2, grader_pb2_grpc
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc

from chassis.clients import Target, connect, stream, translated
from chassis.errors import CandorError, Reason
from chassis.logs import request_id
from chassis.metrics import Metrics
from chassis.running import running
from chassis.serving import Service
from chassis.settings import ServerSettings

TOKEN = "correct horse"


class Grader(grader_pb2_grpc.GraderServiceServicer):
    async def GetGraderInfo(self, request: Any, context: Any) -> grader_pb2.GetGraderInfoResponse:  # noqa: N802
        return grader_pb2.GetGraderInfoResponse(digest=request_id.get())

    async def ScoreTexts(self, request: Any, context: Any) -> AsyncIterator[grader_pb2.ScoreTextsResponse]:  # noqa: N802
        yield grader_pb2.ScoreTextsResponse(unscored={"reason": request_id.get()})


class Orchestrator(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    async def UploadDataset(self, parts: Any, context: Any) -> orchestrator_pb2.UploadDatasetResponse:  # noqa: N802
        count = len([part async for part in parts])
        return orchestrator_pb2.UploadDatasetResponse(digest=f"{count} {request_id.get()}")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    def register(server: grpc.aio.Server) -> None:
        grader_pb2_grpc.add_GraderServiceServicer_to_server(Grader(), server)  # type: ignore[abstract]
        orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(Orchestrator(), server)  # type: ignore[abstract]

    names = ["candor.grader.v1.GraderService", "candor.orchestrator.v1.OrchestratorService"]
    settings = ServerSettings(token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest())
    async with running(Service(names=names, register=register, metrics=Metrics("test")), settings) as found:
        yield found


async def every_kind(address: str, token: str) -> list[str]:
    def parts() -> Iterator[orchestrator_pb2.UploadDatasetRequest]:
        for _ in range(3):
            yield orchestrator_pb2.UploadDatasetRequest(chunk=b"x")

    seen = []
    async with connect(Target.with_token(address, token)) as channel:
        grader = grader_pb2_grpc.GraderServiceStub(channel)
        with translated("grader"):
            seen.append((await grader.GetGraderInfo(grader_pb2.GetGraderInfoRequest())).digest)
        answers = stream("grader", grader.ScoreTexts(grader_pb2.ScoreTextsRequest()))
        seen += [answer.unscored.reason async for answer in answers]
        with translated("orchestrator"):
            uploaded = await orchestrator_pb2_grpc.OrchestratorServiceStub(channel).UploadDataset(parts())
        seen.append(uploaded.digest)
    return seen


async def test_token_and_request_id_reach_every_kind_of_call(address: str) -> None:
    context = request_id.set("from-the-caller")
    try:
        assert await every_kind(address, TOKEN) == ["from-the-caller", "from-the-caller", "3 from-the-caller"]
    finally:
        request_id.reset(context)


async def call(kind: str, channel: grpc.aio.Channel) -> None:
    grader = grader_pb2_grpc.GraderServiceStub(channel)
    if kind == "unary":
        with translated("grader"):
            await grader.GetGraderInfo(grader_pb2.GetGraderInfoRequest())
    elif kind == "streamed answers":
        assert not [_ async for _ in stream("grader", grader.ScoreTexts(grader_pb2.ScoreTextsRequest()))]
    else:
        with translated("orchestrator"):
            await orchestrator_pb2_grpc.OrchestratorServiceStub(channel).UploadDataset(iter(()))


@pytest.mark.parametrize("token", ["", "wrong"])
@pytest.mark.parametrize("kind", ["unary", "streamed answers", "streamed requests"])
async def test_no_kind_of_call_is_answered_without_the_token(address: str, token: str, kind: str) -> None:
    async with connect(Target.with_token(address, token)) as channel:
        with pytest.raises(CandorError) as caught:
            await call(kind, channel)
    assert caught.value.reason is Reason.CALLER_UNAUTHENTICATED
