"""What happens around every call: who calls, request id, metrics, audit, and errors turned into rich statuses."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from chassis.audit import Audit
from chassis.auth.gatekeeper import HEALTH, Gatekeeper
from chassis.auth.limits import items_of
from chassis.call_metadata import REQUEST_ID_HEADER
from chassis.errors import CandorError, Reason
from chassis.logs import caller, get_logger, request_id
from chassis.metrics import Metrics
from chassis.rpc_errors import abort
from chassis.tracing import HEADER, Tracer

_MAX_REQUEST_ID = 128


@dataclass(slots=True)
class _Call:
    """One call under way; what is known of it grows."""

    method: str
    metadata: Sequence[tuple[str, Any]]
    request: Any = None
    response: Any = None
    admitted: bool = False
    outcome: str = "OK"

    def values(self, name: str) -> list[str]:
        """The values of a metadata key."""
        return [str(value) for key, value in self.metadata if key == name]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """One interceptor for all servers. Without a gatekeeper, callers need to show nothing."""

    def __init__(self, metrics: Metrics, gatekeeper: Gatekeeper | None = None, tracer: Tracer | None = None) -> None:
        self._metrics = metrics
        self._tracer = tracer or Tracer()
        self._gatekeeper = gatekeeper or Gatekeeper()
        self._audit = Audit(metrics.service)
        self._log = get_logger(metrics.service)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler that the call resolves to."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        details = handler_call_details.method, tuple(handler_call_details.invocation_metadata or ())
        streams_in = bool(handler.request_streaming)

        async def unary(raw: Any, context: Any) -> Any:
            call = _Call(*details)
            async with self._around(call, context, handler, raw) as request:
                behaviour: Any = handler.stream_unary if streams_in else handler.unary_unary
                call.response = await behaviour(request, context)
                return call.response

        # Written to the context and not yielded: gRPC drops the generator of a call that was cancelled between two
        # responses without closing it, and what it holds would be released late, in another context, or not at all.
        async def stream(raw: Any, context: Any) -> None:
            call = _Call(*details)
            async with self._around(call, context, handler, raw) as request:
                behaviour: Any = handler.stream_stream if streams_in else handler.unary_stream
                responses = behaviour(request, context)
                if inspect.isawaitable(responses):  # a handler that writes to the context, such as health's Watch
                    await responses
                    return
                async with aclosing(responses):
                    async for response in responses:
                        await context.write(response)

        build, behaviour = {
            (False, False): (grpc.unary_unary_rpc_method_handler, unary),
            (True, False): (grpc.stream_unary_rpc_method_handler, unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, stream),
            (True, True): (grpc.stream_stream_rpc_method_handler, stream),
        }[streams_in, bool(handler.response_streaming)]
        # Bytes come in as they are: nothing is read for a caller who is not known.
        wrapped: grpc.RpcMethodHandler[Any, Any] = build(behaviour, None, handler.response_serializer)
        return wrapped

    @asynccontextmanager
    async def _around(self, call: _Call, context: Any, handler: Any, raw: Any) -> AsyncIterator[Any]:
        """Gives the request, or the iterator of streamed requests."""
        given = next(iter(call.values(REQUEST_ID_HEADER)), "") or uuid.uuid4().hex
        tokens = request_id.set(given[:_MAX_REQUEST_ID]), caller.set("")
        start = time.perf_counter()
        code = "OK"
        name = call.method.rsplit("/", 1)[-1]
        self._metrics.in_flight.labels(name).inc()
        try:
            with self._span(call):
                async with self._admitted(call, context, handler, raw) as request:
                    yield request
        except grpc.aio.AbortError:
            code = call.outcome = "ABORTED_BY_HANDLER"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = call.outcome = "CANCELLED"
            raise
        except CandorError as error:
            code, call.outcome = error.reason.entry.status, error.reason.name
            if call.admitted:
                self._log.info("call refused", method=name, reason=error.reason.name)
            else:
                self._audit.denied(call.method, context.peer(), call.request, error)
            await abort(context, error)
        except Exception:  # noqa: BLE001
            # The only broad except of the project: a defect becomes INTERNAL, its traceback stays in the log.
            code = call.outcome = "INTERNAL"
            self._log.exception("call failed", method=name)
            message = f"internal error; quote request id {request_id.get()} to the operator"
            await abort(context, CandorError(Reason.INTERNAL, message))
        finally:
            if call.admitted:
                self._audit.done(call.method, context.peer(), call.request, call.response, call.outcome)
            self._metrics.in_flight.labels(name).dec()
            self._metrics.calls.labels(name, code).inc()
            self._metrics.latency.labels(name).observe(time.perf_counter() - start)
            request_id.reset(tokens[0])
            caller.reset(tokens[1])

    @contextmanager
    def _span(self, call: _Call) -> Iterator[None]:
        if call.method.startswith(HEALTH):
            yield
            return
        parent = next(iter(call.values(HEADER)), "")
        with self._tracer.span(call.method.lstrip("/"), parent=parent, serves=True) as span:
            try:
                yield
            finally:
                span.failed = _failure(sys.exception())
                span.note(request_id=request_id.get(), caller=caller.get())

    @asynccontextmanager
    async def _admitted(self, call: _Call, context: Any, handler: Any, raw: Any) -> AsyncIterator[Any]:
        keeper = self._gatekeeper
        who = await keeper.identify(call.method, call.values("authorization"), context.auth_context())

        def read(part: bytes) -> Any:
            keeper.meter.size(who, len(part))
            try:
                return handler.request_deserializer(part)
            except DecodeError as error:
                raise CandorError(Reason.INVALID_REQUEST, "the message is none of this method's") from error

        async def parts() -> AsyncIterator[Any]:
            async for part in raw:
                yield read(part)

        if not handler.request_streaming:
            call.request = read(raw)
        keeper.permit(who, call.method)
        with keeper.meter.call(who, items_of(call.request)):
            call.admitted = True
            yield parts() if handler.request_streaming else call.request


def _failure(error: BaseException | None) -> str:
    """Why a call failed, for its span; an abort and a call that was given up are no failures of ours."""
    if isinstance(error, CandorError):
        return error.reason.name
    defect = isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError)
    return Reason.INTERNAL.name if defect else ""
