"""Who may call what, over the real services: a platform team calls the grader and nothing else."""

from typing import Any

import grpc
import pytest
from candor.grader.v1 import grader_pb2, grader_pb2_grpc
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from chassis.clients import Target, connect, stream, translated
from chassis.errors import CandorError, Reason

from .conftest import ended, entry, methods

SERVICES = ("inference", "grader", "rewriter", "trainer", "orchestrator")
CASES = grader_pb2.GradeAnswersRequest(
    cases=[{"question": "Capital of Australia?", "gold": ["Canberra"], "reply": "It's Canberra."}]
)


async def outcome(channel: grpc.aio.Channel, path: str, method: Any, request: bytes = b"") -> grpc.StatusCode:
    """How a call of any method with an empty request ends."""
    kind = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
    multi: Any = getattr(channel, kind)(path)
    return await ended(multi(iter([request]) if method.client_streaming else request, timeout=20))


async def grade(channel: grpc.aio.Channel, request: grader_pb2.GradeAnswersRequest = CASES) -> list[str]:
    call = grader_pb2_grpc.GraderServiceStub(channel).GradeAnswers(request, timeout=20)
    return [response.grade.verdict async for response in stream("grader", call)]


async def test_a_platform_team_grades_and_is_denied_every_other_method_of_every_service(started: Any) -> None:
    callers = {"platform": entry("platform's token", "grader/GradeAnswers")}
    async with started(*SERVICES, callers=callers) as suite:
        allowed, denied = [], []
        for name in SERVICES:
            async with connect(Target.with_token(suite.addresses[name], "platform's token")) as channel:
                for path, method in methods(name).items():
                    code = await outcome(channel, path, method)
                    (denied if code is grpc.StatusCode.PERMISSION_DENIED else allowed).append(path)
        assert allowed == ["/candor.grader.v1.GraderService/GradeAnswers"]
        assert len(denied) == sum(len(methods(name)) for name in SERVICES) - 1
        async with connect(Target.with_token(suite.addresses["grader"], "platform's token")) as channel:
            assert await grade(channel) == ["correct"]


@pytest.mark.parametrize(
    ("scope", "denied"),
    [
        ("grader", set()),
        ("grader:read", {"GradeAnswers", "ScoreTexts"}),
        ("orchestrator", {"GradeAnswers", "ScoreTexts", "ListMetrics", "GetGraderInfo"}),
        ("*", set()),
    ],
)
async def test_a_scope_covers_a_service_or_what_only_looks(started: Any, scope: str, denied: set[str]) -> None:
    async with (
        started("grader", callers={"team": entry("t", scope)}) as suite,
        connect(Target.with_token(suite.addresses["grader"], "t")) as channel,
    ):
        codes = {path: await outcome(channel, path, method) for path, method in methods("grader").items()}
    assert {path.rpartition("/")[2] for path, code in codes.items() if code.name == "PERMISSION_DENIED"} == denied


async def test_a_denial_names_the_scope_and_a_wrong_token_is_no_denial(started: Any) -> None:
    async with started("orchestrator", callers={"platform": entry("right", "grader")}) as suite:
        address = suite.addresses["orchestrator"]
        path = "/candor.orchestrator.v1.OrchestratorService/CreateEvaluation"
        async with connect(Target.with_token(address, "right")) as channel:
            with pytest.raises(CandorError) as caught, translated("orchestrator"):
                await channel.unary_unary(path)(b"")  # type: ignore[misc]
        assert caught.value.reason is Reason.CALLER_FORBIDDEN
        assert (
            caught.value.message
            == "caller platform may not call orchestrator.CreateEvaluation: it needs the scope orchestrator:write"
        )
        assert caught.value.metadata["scope"] == "orchestrator:write"
        for token in ("", "wrong", "a.b.c"):
            async with connect(Target.with_token(address, token)) as channel:
                with pytest.raises(CandorError) as caught, translated("orchestrator"):
                    await channel.unary_unary(path)(b"")  # type: ignore[misc]
            assert caught.value.reason is Reason.CALLER_UNAUTHENTICATED


async def test_keys_rotate_without_a_call_refused_and_a_removed_one_is_refused_at_once(started: Any) -> None:
    old, new = entry("old", "grader"), entry("new", "grader")
    both = old | {"token_sha256": [old["token_sha256"], new["token_sha256"]]}
    async with started("grader", callers={"team": old}) as suite:
        address = suite.addresses["grader"]
        async with (
            connect(Target.with_token(address, "old")) as with_old,
            connect(Target.with_token(address, "new")) as with_new,
        ):
            assert await grade(with_old)
            suite.write(team=both)
            assert await grade(with_old)
            assert await grade(with_new)
            suite.write(team=new)
            assert await grade(with_new)
            with pytest.raises(CandorError) as caught:
                await grade(with_old)
            assert caught.value.reason is Reason.CALLER_UNAUTHENTICATED


async def test_the_one_token_of_before_goes_on_beside_the_file(started: Any) -> None:
    digest = entry("of before", "grader")["token_sha256"]
    async with started("grader", callers={"team": entry("t", "grader")}, token_sha256=digest) as suite:
        for token in ("t", "of before"):
            async with connect(Target.with_token(suite.addresses["grader"], token)) as channel:
                assert await grade(channel) == ["correct"]


async def test_reflection_is_for_callers_who_are_known(started: Any) -> None:
    async with started("grader", callers={"team": entry("t", "orchestrator:read")}) as suite:
        for token, code in (("t", grpc.StatusCode.OK), ("", grpc.StatusCode.UNAUTHENTICATED)):
            async with connect(Target.with_token(suite.addresses["grader"], token)) as channel:
                stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                request = reflection_pb2.ServerReflectionRequest(list_services="")
                assert await ended(stub.ServerReflectionInfo(iter([request]))) is code


async def test_two_authorizations_in_one_call_are_refused(started: Any) -> None:
    async with (
        started("grader", callers={"team": entry("t", "grader")}) as suite,
        grpc.aio.insecure_channel(suite.addresses["grader"]) as channel,
    ):
        call = grader_pb2_grpc.GraderServiceStub(channel).GetGraderInfo(
            grader_pb2.GetGraderInfoRequest(),
            metadata=(("authorization", "Bearer x"), ("authorization", "Bearer t")),
        )
        assert await ended(call) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_caller_over_a_limit_is_told_when_to_come_back(started: Any) -> None:
    callers = {"team": entry("t", "grader", items_per_second=3, message_bytes=2000), "other": entry("o", "grader")}
    batch = grader_pb2.GradeAnswersRequest(cases=[*CASES.cases] * 10)
    async with started("grader", callers=callers) as suite:
        address = suite.addresses["grader"]
        async with grpc.aio.insecure_channel(address) as channel:
            stub = grader_pb2_grpc.GraderServiceStub(channel)

            def call(request: grader_pb2.GradeAnswersRequest, token: str = "t") -> Any:
                return stub.GradeAnswers(request, metadata=(("authorization", f"Bearer {token}"),), timeout=20)

            assert await ended(call(batch)) is grpc.StatusCode.OK
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in call(batch):
                    pass
            status = rpc_status.from_call(caught.value)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            assert status.details[0].Unpack(info)
            assert status.details[1].Unpack(retry)
            assert (info.reason, info.metadata["retryable"]) == ("CALLER_LIMITED", "true")
            assert 0 < retry.retry_delay.ToTimedelta().total_seconds() <= 10
            assert await ended(call(batch, "o")) is grpc.StatusCode.OK  # nobody else waits for it

            large = grader_pb2.GradeAnswersRequest(cases=[*CASES.cases] * 100)
            assert await ended(call(large)) is grpc.StatusCode.INVALID_ARGUMENT
