"""Traces over the real services, sent to a collector of ours."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from candor.grader.v1 import grader_pb2, grader_pb2_grpc
from candor.orchestrator.v1 import orchestrator_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc
from pydantic import ValidationError

from chassis.clients import Target, connect
from chassis.logs import about
from chassis.testing.fake_endpoint import FakeEndpoint
from chassis.tracing import Tracer, TracingSettings, traceparent

from .conftest import ended, entry
from .test_evaluation import CALLERS, answer, finished, order

PROMPT = "Prompt that no span holds"


@dataclass
class Collector(otlp_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    address: str = ""
    requests: list[Any] = field(default_factory=list)

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        return otlp.ExportTraceServiceResponse()

    def spans(self) -> list[tuple[str, Any]]:
        """(service, span)."""
        return [
            (_value(resource.resource, "service.name"), span)
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def _value(holder: Any, name: str) -> str:
    return next((pair.value.string_value for pair in holder.attributes if pair.key == name), "")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    found = Collector()
    server = grpc.aio.server()
    otlp_grpc.add_TraceServiceServicer_to_server(found, server)
    found.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield found
    await server.stop(None)


async def test_one_trace_goes_from_the_caller_through_the_run_to_inference_and_grader(
    started: Any, collector: Collector
) -> None:
    tracing = TracingSettings(endpoint=collector.address)
    cli = Tracer.from_settings("cli", tracing)
    names = ("inference", "grader", "orchestrator")
    with FakeEndpoint(answer) as endpoint:
        async with started(*names, callers=CALLERS, tracing=tracing) as suite:
            target = Target.with_token(suite.addresses["orchestrator"], "nightlys-token")
            async with connect(target) as channel:
                with cli.span("candor evaluate"):
                    done = await finished(orchestrator_pb2_grpc.OrchestratorServiceStub(channel), order(endpoint))
    await cli.close()
    spans = collector.spans()
    (root,) = [span for _, span in spans if not span.parent_span_id and span.name == "candor evaluate"]
    ours = [(service, span) for service, span in spans if span.trace_id == root.trace_id]
    assert {(service, span.name.rpartition("/")[2]) for service, span in ours} >= {
        ("candor-cli", "candor evaluate"),
        ("candor-orchestrator", "CreateEvaluation"),
        ("candor-orchestrator", "evaluation"),
        ("candor-inference", "BatchGenerate"),
        ("candor-grader", "GradeAnswers"),
    }
    ids = {span.span_id for _, span in ours}
    assert all(span.parent_span_id in ids for _, span in ours if span is not root)
    (run,) = [span for _, span in ours if span.name == "evaluation"]
    generated = [span for _, span in ours if span.name.endswith("BatchGenerate")]
    assert all(span.parent_span_id == run.span_id for span in generated)
    # The calls of a run are logged under its evaluation, in every service.
    assert {_value(span, "candor.request_id") for span in generated} == {done.name.removeprefix("evaluations/")}
    assert {_value(span, "candor.caller") for span in generated} == {"orchestrator"}
    for secret in (b"Paris", b"nightlys-token", b"orchestrators-token", b"Bearer"):
        assert not any(secret in request.SerializeToString() for request in collector.requests)


async def test_a_failed_call_has_its_reason_and_nothing_of_its_request(started: Any, collector: Collector) -> None:
    tracing = TracingSettings(endpoint=collector.address)
    async with (
        started("grader", callers={"t": entry("t", "orchestrator")}, tracing=tracing) as suite,
        connect(Target.with_token(suite.addresses["grader"], "t")) as channel,
    ):
        request = grader_pb2.GradeAnswersRequest(cases=[{"question": PROMPT, "reply": PROMPT}])
        with about("run-7"):
            await ended(grader_pb2_grpc.GraderServiceStub(channel).GradeAnswers(request))
    ((service, span),) = collector.spans()
    assert (service, span.name) == ("candor-grader", "candor.grader.v1.GraderService/GradeAnswers")
    assert (span.status.message, _value(span, "candor.request_id")) == ("CALLER_FORBIDDEN", "run-7")
    assert PROMPT.encode() not in collector.requests[0].SerializeToString()


async def test_without_an_endpoint_there_is_no_trace_and_a_strange_parent_does_no_harm(started: Any) -> None:
    async with (
        started("grader", callers={"t": entry("t", "grader")}) as suite,
        grpc.aio.insecure_channel(suite.addresses["grader"]) as channel,
    ):
        call = grader_pb2_grpc.GraderServiceStub(channel).GetGraderInfo(
            grader_pb2.GetGraderInfoRequest(),
            metadata=(("authorization", "Bearer t"), ("traceparent", "nonsense")),
        )
        assert await ended(call) is grpc.StatusCode.OK
    assert not traceparent.get()


async def test_a_strange_parent_begins_a_new_trace(collector: Collector) -> None:
    tracer = Tracer.from_settings("test", TracingSettings(endpoint=collector.address))
    for parent in ("nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 10_000):
        with tracer.span("call", parent=parent):
            pass
    await tracer.close()
    assert len({span.trace_id for _, span in collector.spans()}) == 3
    assert not any(span.parent_span_id for _, span in collector.spans())


async def test_a_collector_that_is_away_costs_nothing_but_its_spans(started: Any, unused_tcp_port: int) -> None:
    tracing = TracingSettings(endpoint=f"http://127.0.0.1:{unused_tcp_port}")
    async with (
        started("grader", callers={"t": entry("t", "grader")}, tracing=tracing) as suite,
        connect(Target.with_token(suite.addresses["grader"], "t")) as channel,
    ):
        stub = grader_pb2_grpc.GraderServiceStub(channel)
        assert await ended(stub.GetGraderInfo(grader_pb2.GetGraderInfoRequest())) is grpc.StatusCode.OK


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValidationError, match="http://HOST:4317"):
        TracingSettings(endpoint="collector")
