"""What happens around every call: who calls, request id, metrics, audit, and errors turned into rich statuses."""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from chassis.audit import Audit
from chassis.auth.gatekeeper import HEALTH, Gatekeeper
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

        async def unary(request: Any, context: Any) -> Any:
            call = _Call(*details, request=None if streams_in else request)
            async with self._around(call, context) as parts:
                behaviour: Any = handler.stream_unary if streams_in else handler.unary_unary
                call.response = await behaviour(parts(request) if streams_in else request, context)
                return call.response

        # Written to the context and not yielded: gRPC drops the generator of a call that was cancelled between two
        # responses without closing it, and what it holds would be released late, in another context, or not at all.
        async def stream(request: Any, context: Any) -> None:
            call = _Call(*details, request=None if streams_in else request)
            async with self._around(call, context) as parts:
                behaviour: Any = handler.stream_stream if streams_in else handler.unary_stream
                responses = behaviour(parts(request) if streams_in else request, context)
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
        wrapped: grpc.RpcMethodHandler[Any, Any] = build(
            behaviour, handler.request_deserializer, handler.response_serializer
        )
        return wrapped

    @asynccontextmanager
    async def _around(self, call: _Call, context: Any) -> AsyncIterator[Callable[[Any], AsyncIterator[Any]]]:
        """Gives what wraps the iterator of streamed requests."""
        given = next(iter(call.values(REQUEST_ID_HEADER)), "") or uuid.uuid4().hex
        tokens = request_id.set(given[:_MAX_REQUEST_ID]), caller.set("")
        start = time.perf_counter()
        code = "OK"
        name = call.method.rsplit("/", 1)[-1]
        self._metrics.in_flight.labels(name).inc()
        try:
            with self._span(call):
                async with self._admitted(call, context) as parts:
                    yield parts
        except grpc.aio.AbortError:
            code = call.outcome = "ABORTED_BY_HANDLER"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = call.outcome = "CANCELLED"
            raise
        except CandorError as error:
            code, call.outcome = error.reason.entry.status, error.reason.name
            self._log.info("call refused", method=name, reason=error.reason.name)
            if not call.admitted:
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
                self._audit.changed(call.method, context.peer(), call.request, call.response, call.outcome)
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
            except CandorError as error:
                span.failed = error.reason.name
                raise
            except grpc.aio.AbortError:
                raise
            except Exception:
                span.failed = Reason.INTERNAL.name
                raise
            finally:
                span.note(request_id=request_id.get(), caller=caller.get())

    @asynccontextmanager
    async def _admitted(self, call: _Call, context: Any) -> AsyncIterator[Callable[[Any], AsyncIterator[Any]]]:
        keeper = self._gatekeeper
        authorization = call.values("authorization")
        async with keeper.passing(call.method, authorization, context.auth_context(), call.request) as who:
            call.admitted = True

            async def parts(requests: Any) -> AsyncIterator[Any]:
                async for request in requests:
                    keeper.meter.size(who, request)
                    yield request

            yield parts
