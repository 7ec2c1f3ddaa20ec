"""Optional traces (OpenTelemetry, W3C Trace Context): one trace from the command line through every service.

Spans hold names, reasons, request and evaluation ids; never a prompt, a reply, a key or a token. Models and judges, which
are others' programs, are not told of traces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chassis.errors import CandorError, Reason
from chassis.urls import http_parts
from chassis.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

HEADER = "traceparent"
traceparent: ContextVar[str] = ContextVar("traceparent", default="")
"""The span under way, as other processes are told of it; empty where there is none."""

_EXPORT_SECONDS = 5


class TracingSettings(BaseModel):
    """Where spans go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = Field(
        default="", description="OTLP collector over gRPC, http(s)://HOST:4317; setting it turns traces on"
    )
    sample: float = Field(default=1.0, ge=0, le=1, description="share of the traces beginning here that are kept")

    @field_validator("endpoint")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and http_parts(value) is None:
            raise ValueError("must be http://HOST:4317 or https://HOST:4317")
        return value


class Span:
    """A piece of work under way. `failed` is why it went wrong, from the catalog of reasons; empty if it did not."""

    def __init__(self) -> None:
        self.failed = ""
        self.attributes: dict[str, str] = {}

    def note(self, **attributes: str) -> None:
        """Add attributes, named `candor.NAME`; empty ones are left out."""
        self.attributes.update({f"candor.{name}": value for name, value in attributes.items() if value})


class Tracer:
    """Makes the spans of one service; without a provider it does nothing."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider

    @classmethod
    def from_settings(cls, service: str, settings: TracingSettings) -> Tracer:
        """A tracer that sends to the endpoint, if one is set. Raises CandorError BACKEND_MISSING."""
        if not settings.endpoint:
            return cls()
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
            message = "traces need OpenTelemetry: pip install '.[tracing]' in Candor's folder"
            raise CandorError(Reason.BACKEND_MISSING, message)
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        provider = TracerProvider(
            resource=Resource.create({"service.name": f"candor-{service}", "service.version": VERSION}),
            sampler=ParentBasedTraceIdRatio(settings.sample),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=_EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    @contextmanager
    def span(self, name: str, *, parent: str = "", serves: bool = False) -> Iterator[Span]:
        """A span for the length of the block, which calls made there belong to.

        Args:
            name: What is done.
            parent: A span of another process, as its `traceparent` names it; empty: the one under way here, if any.
            serves: It answers a call.
        """
        found = Span()
        if self._provider is None:
            yield found
            return
        from opentelemetry.trace import SpanKind, StatusCode

        kind = SpanKind.SERVER if serves else SpanKind.INTERNAL
        tracer = self._provider.get_tracer("candor", VERSION)
        span = tracer.start_span(name, _context(parent or traceparent.get()), kind)
        it = span.get_span_context()
        token = traceparent.set(f"00-{it.trace_id:032x}-{it.span_id:016x}-{it.trace_flags:02x}")
        try:
            yield found
        finally:
            traceparent.reset(token)
            span.set_attributes(found.attributes)
            if found.failed:
                span.set_status(StatusCode.ERROR, found.failed)
            span.end()

    async def close(self) -> None:
        """Send what is left; gives up after some seconds."""
        if self._provider is not None:
            await asyncio.to_thread(self._provider.shutdown)


def _context(parent: str) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: parent}, Context())
