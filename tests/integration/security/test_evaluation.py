"""An evaluation through services that all know their callers: who made it stays with it."""

from collections.abc import Iterator
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2, orchestrator_pb2_grpc

from chassis.clients import Target, connect, stream, translated
from chassis.errors import CandorError, Reason
from chassis.testing.fake_endpoint import Call, FakeEndpoint

from .conftest import Logs, entry

CALLERS = {
    "orchestrator": entry("orchestrators-token", "inference", "grader"),
    "nightly": entry("nightlys-token", "orchestrator:write"),
    "reader": entry("readers-token", "orchestrator:read"),
}


def answer(call: Call) -> str:
    return "Paris. " + call.model


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(answer) as server:
        yield server


def order(endpoint: FakeEndpoint) -> orchestrator_pb2.CreateEvaluationRequest:
    spec = evaluation_pb2.EvaluationSpec(baseline="v1")
    for name in ("v1", "v2"):
        spec.arms[name].endpoint.base_url = endpoint.base_url
        spec.arms[name].endpoint.model = name
    spec.conditions.contexts.append("none")
    spec.conditions.beliefs.append("asserts_false")
    return orchestrator_pb2.CreateEvaluationRequest(spec=spec, limit=4, request_id="uid-1", allow_underpowered=True)


async def finished(stub: Any, request: orchestrator_pb2.CreateEvaluationRequest) -> Any:
    """The evaluation with its verdict."""
    with translated("orchestrator"):
        made = await stub.CreateEvaluation(request, timeout=60)
    watch = orchestrator_pb2.WatchEvaluationRequest(name=made.name)
    async for _ in stream("orchestrator", stub.WatchEvaluation(watch, timeout=120)):
        pass
    return await stub.GetEvaluation(orchestrator_pb2.GetEvaluationRequest(name=made.name))


async def test_who_made_an_evaluation_stays_with_it_and_stands_in_the_audit_log(
    started: Any, endpoint: FakeEndpoint, logs: Logs
) -> None:
    async with started("inference", "grader", "orchestrator", callers=CALLERS) as suite:
        address = suite.addresses["orchestrator"]
        async with connect(Target.with_token(address, "nightlys-token")) as channel:
            done = await finished(orchestrator_pb2_grpc.OrchestratorServiceStub(channel), order(endpoint))
        assert (done.state, done.created_by) == ("SUCCEEDED", "nightly")
        async with connect(Target.with_token(address, "readers-token")) as channel:
            stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
            page = await stub.ListEvaluations(orchestrator_pb2.ListEvaluationsRequest())
            assert [found.created_by for found in page.evaluations] == ["nightly"]
            with pytest.raises(CandorError) as caught, translated("orchestrator"):
                await stub.CreateEvaluation(order(endpoint))
            assert caught.value.reason is Reason.CALLER_FORBIDDEN
    created, denied = logs.audit()
    told = {name: created[name] for name in ("caller", "method", "resource", "document_digest", "idempotency_key")}
    assert told == {
        "caller": "nightly",
        "method": "orchestrator.CreateEvaluation",
        "resource": done.name,
        "document_digest": done.document_digest,
        "idempotency_key": "uid-1",
    }
    assert (denied["event"], denied["caller"]) == ("denied", "reader")
    for secret in ("orchestrators-token", "nightlys-token", "Paris"):
        assert secret not in logs.read()
