"""The audit log over the real services: who started what, who was turned away, and nothing that is nobody's business."""

import asyncio
import io
import urllib.request
from typing import Any

import grpc
import pytest
from candor.grader.v1 import grader_pb2, grader_pb2_grpc
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc

from chassis.clients import Target, connect, translated
from chassis.errors import CandorError
from chassis.logs import request_id

from .conftest import Logs, ended, entry

TOKENS = {"nightly": "nightlys-token", "platform": "platforms-token"}
PROMPT = "Prompt that nobody logs"


async def upload(address: str, token: str) -> str:
    def parts() -> Any:
        digest = "sha256:" + "0" * 64
        yield orchestrator_pb2.UploadDatasetRequest(
            info=orchestrator_pb2.DatasetInfo(digest=digest, filename="x.csv", size_bytes=3)
        )
        yield orchestrator_pb2.UploadDatasetRequest(chunk=PROMPT.encode())

    async with connect(Target.with_token(address, token)) as channel:
        stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
        with translated("orchestrator"):
            return str((await stub.UploadDataset(parts(), timeout=20)).digest)


async def test_changes_and_denials_are_logged_with_names_and_never_with_tokens_or_texts(
    started: Any, logs: Logs
) -> None:
    callers = {
        "nightly": entry(TOKENS["nightly"], "orchestrator:write"),
        "platform": entry(TOKENS["platform"], "grader/GradeAnswers", calls_per_second=1),
    }
    async with started("grader", "orchestrator", callers=callers) as suite:
        at = suite.addresses["orchestrator"]
        with pytest.raises(CandorError):
            await upload(at, TOKENS["platform"])
        with pytest.raises(CandorError):
            await upload(at, "a-token-that-is-wrong")
        async with connect(Target.with_token(at, TOKENS["nightly"])) as channel:
            stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
            given = request_id.set("run-7")
            request = orchestrator_pb2.DeleteEvaluationRequest(name="evaluations/none")
            assert await ended(stub.DeleteEvaluation(request)) is grpc.StatusCode.NOT_FOUND
            request_id.reset(given)
            assert await ended(stub.ListEvaluations(orchestrator_pb2.ListEvaluationsRequest())) is grpc.StatusCode.OK
        async with connect(Target.with_token(suite.addresses["grader"], TOKENS["platform"])) as channel:
            grade = grader_pb2.GradeAnswersRequest(cases=[{"question": PROMPT, "gold": ["a"], "reply": PROMPT}])
            for _ in range(3):
                await ended(grader_pb2_grpc.GraderServiceStub(channel).GradeAnswers(grade))
    found = [
        {name: line.get(name, "") for name in ("event", "service", "method", "caller", "reason", "outcome", "resource")}
        for line in logs.audit()
    ]
    common = {"service": "orchestrator", "method": "orchestrator.UploadDataset", "outcome": "", "resource": ""}
    assert {"event": "denied", "caller": "platform", "reason": "CALLER_FORBIDDEN", **common} in found
    assert {"event": "denied", "caller": "", "reason": "CALLER_UNAUTHENTICATED", **common} in found
    assert {
        "event": "call",
        "service": "orchestrator",
        "method": "orchestrator.DeleteEvaluation",
        "caller": "nightly",
        "reason": "",
        "outcome": "EVALUATION_NOT_FOUND",
        "resource": "evaluations/none",
    } in found
    limited = {"event": "denied", "service": "grader", "method": "grader.GradeAnswers", "caller": "platform"}
    assert limited | {"reason": "CALLER_LIMITED", "outcome": "", "resource": ""} in found
    assert not [line for line in found if "List" in line["method"]]
    (deleted,) = [line for line in logs.audit() if line["method"].endswith("DeleteEvaluation")]
    assert deleted["request_id"] == "run-7"
    assert deleted["peer"].startswith("ipv4:127.0.0.1:")
    for secret in (*TOKENS.values(), "a-token-that-is-wrong", PROMPT):
        assert secret not in logs.read()


async def test_the_metrics_port_knows_no_caller_and_no_token(started: Any, unused_tcp_port: int) -> None:
    callers = {"platform": entry(TOKENS["platform"], "orchestrator:read")}
    async with started("grader", callers=callers, metrics_port=unused_tcp_port) as suite:
        for token in (TOKENS["platform"], "a-token-that-is-wrong"):
            async with connect(Target.with_token(suite.addresses["grader"], token)) as channel:
                await ended(grader_pb2_grpc.GraderServiceStub(channel).GetGraderInfo(grader_pb2.GetGraderInfoRequest()))
        url = f"http://127.0.0.1:{unused_tcp_port}/metrics"
        page: io.BufferedIOBase = await asyncio.to_thread(urllib.request.urlopen, url, timeout=5)
        with page:
            text = page.read().decode()
    assert 'code="PERMISSION_DENIED"' in text
    assert 'code="UNAUTHENTICATED"' in text
    for secret in (*TOKENS.values(), "a-token-that-is-wrong", "platform"):
        assert secret not in text
