"""What a hostile or careless caller tries: huge metadata, floods, endless streams. Others are served all the same."""

import asyncio
from collections import Counter
from typing import Any

import grpc
from candor.grader.v1 import grader_pb2, grader_pb2_grpc
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc

from chassis.clients import Target, connect

from .conftest import ended, entry

CASES = grader_pb2.GradeAnswersRequest(cases=[{"question": "q", "gold": ["a"], "reply": "a"}])


async def test_huge_metadata_is_refused_before_it_is_read(started: Any) -> None:
    async with (
        started("grader", callers={"team": entry("t", "grader")}) as suite,
        grpc.aio.insecure_channel(suite.addresses["grader"]) as channel,
    ):
        stub = grader_pb2_grpc.GraderServiceStub(channel)
        for metadata in (
            (("authorization", "Bearer " + "x" * 100_000),),
            tuple((f"x-{number}", "y" * 500) for number in range(200)),
            (("authorization", "Bearer t"), ("x-request-id", "r" * 60_000)),
        ):
            call = stub.GetGraderInfo(grader_pb2.GetGraderInfoRequest(), metadata=metadata, timeout=20)
            assert await ended(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
        good = stub.GetGraderInfo(grader_pb2.GetGraderInfoRequest(), metadata=(("authorization", "Bearer t"),))
        assert await ended(good) is grpc.StatusCode.OK


async def test_a_caller_that_floods_is_held_and_another_is_served(started: Any) -> None:
    callers = {"flood": entry("f", "grader", calls_per_second=5, calls_in_flight=3), "team": entry("t", "grader")}
    async with started("grader", callers=callers) as suite:
        at = suite.addresses["grader"]
        async with (
            connect(Target.with_token(at, "f")) as flooding,
            connect(Target.with_token(at, "t")) as quiet,
        ):
            flood = [
                ended(grader_pb2_grpc.GraderServiceStub(flooding).GradeAnswers(CASES, timeout=20)) for _ in range(300)
            ]
            others = [
                ended(grader_pb2_grpc.GraderServiceStub(quiet).GradeAnswers(CASES, timeout=20)) for _ in range(10)
            ]
            codes = await asyncio.gather(*flood, *others)
    assert set(codes[300:]) == {grpc.StatusCode.OK}
    counts = Counter(codes[:300])
    assert set(counts) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert counts[grpc.StatusCode.RESOURCE_EXHAUSTED] > counts[grpc.StatusCode.OK]


async def test_a_part_of_a_stream_over_the_caller_s_size_ends_it(started: Any) -> None:
    callers = {"team": entry("t", "orchestrator", message_bytes=10_000)}

    def parts() -> Any:
        info = orchestrator_pb2.DatasetInfo(digest="sha256:" + "0" * 64, filename="x.csv", size_bytes=10**6)
        yield orchestrator_pb2.UploadDatasetRequest(info=info)
        yield orchestrator_pb2.UploadDatasetRequest(chunk=b"x" * 20_000)

    async with (
        started("orchestrator", callers=callers) as suite,
        connect(Target.with_token(suite.addresses["orchestrator"], "t")) as channel,
    ):
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
        assert await ended(stub.UploadDataset(parts(), timeout=20)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_that_is_none_is_refused_and_one_of_a_stranger_is_not_even_read(started: Any) -> None:
    path = "/candor.grader.v1.GraderService/GradeAnswers"
    async with started("grader", callers={"team": entry("t", "grader")}) as suite:
        for token, code in (("t", grpc.StatusCode.INVALID_ARGUMENT), ("", grpc.StatusCode.UNAUTHENTICATED)):
            async with connect(Target.with_token(suite.addresses["grader"], token)) as channel:
                assert await ended(channel.unary_stream(path)(b"\xff\xff\xff\xff", timeout=20)) is code  # type: ignore[misc]


async def test_a_small_message_that_unpacks_into_a_large_one_is_refused(started: Any) -> None:
    bomb = grader_pb2.ScoreTextsRequest(texts=["x" * (4 * 2**20)])
    async with (
        started("grader", callers={"team": entry("t", "grader")}, max_message_bytes=2**20) as suite,
        grpc.aio.insecure_channel(
            suite.addresses["grader"],
            options=[("grpc.max_send_message_length", -1)],
            compression=grpc.Compression.Gzip,
        ) as channel,
    ):
        call = grader_pb2_grpc.GraderServiceStub(channel).ScoreTexts(
            bomb, metadata=(("authorization", "Bearer t"),), timeout=20
        )
        assert await ended(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
