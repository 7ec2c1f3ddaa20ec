"""What happens around every call: caller's token, request id, metrics, and errors turned into rich statuses."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc

from chassis.call_metadata import REQUEST_ID_HEADER
from chassis.errors import CandorError, Reason
from chassis.logs import get_logger, request_id
from chassis.metrics import Metrics
from chassis.rpc_errors import abort

_OPEN_PREFIX = "/grpc.health.v1.Health/"  # probes carry no token
_MAX_REQUEST_ID = 128


class CallInterceptor(grpc.aio.ServerInterceptor):
    """One interceptor for all servers. `token_sha256` empty means that callers need no token."""

    def __init__(self, metrics: Metrics, token_sha256: str = "") -> None:
        self._metrics = metrics
        self._token_sha256 = token_sha256
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
        method = handler_call_details.method
        metadata = dict(handler_call_details.invocation_metadata or ())

        async def unary(request: Any, context: Any) -> Any:
            async with self._around(method, metadata, context):
                return await (handler.unary_unary or handler.stream_unary)(request, context)  # type: ignore[misc]

        # Written to the context and not yielded: gRPC drops the generator of a call that was cancelled between two
        # responses without closing it, and what it holds would be released late, in another context, or not at all.
        async def stream(request: Any, context: Any) -> None:
            async with self._around(method, metadata, context):
                responses: Any = (handler.unary_stream or handler.stream_stream)(request, context)  # type: ignore[misc]
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
        }[bool(handler.request_streaming), bool(handler.response_streaming)]
        wrapped: grpc.RpcMethodHandler[Any, Any] = build(
            behaviour, handler.request_deserializer, handler.response_serializer
        )
        return wrapped

    @asynccontextmanager
    async def _around(self, method: str, metadata: dict[str, Any], context: Any) -> AsyncIterator[None]:
        token = request_id.set(str(metadata.get(REQUEST_ID_HEADER) or uuid.uuid4().hex)[:_MAX_REQUEST_ID])
        start = time.perf_counter()
        code = "OK"
        name = method.rsplit("/", 1)[-1]
        self._metrics.in_flight.labels(name).inc()
        try:
            self._authenticate(method, metadata)
            yield
        except grpc.aio.AbortError:
            code = "ABORTED_BY_HANDLER"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except CandorError as error:
            code = error.reason.entry.status
            self._log.info("call refused", method=name, reason=error.reason.name)
            await abort(context, error)
        except Exception:  # noqa: BLE001
            # The only broad except of the project: a defect becomes INTERNAL, its traceback stays in the log.
            code = "INTERNAL"
            self._log.exception("call failed", method=name)
            message = f"internal error; quote request id {request_id.get()} to the operator"
            await abort(context, CandorError(Reason.INTERNAL, message))
        finally:
            self._metrics.in_flight.labels(name).dec()
            self._metrics.calls.labels(name, code).inc()
            self._metrics.latency.labels(name).observe(time.perf_counter() - start)
            request_id.reset(token)

    def _authenticate(self, method: str, metadata: dict[str, Any]) -> None:
        if not self._token_sha256 or method.startswith(_OPEN_PREFIX):
            return
        scheme, _, value = str(metadata.get("authorization", "")).partition(" ")
        digest = hashlib.sha256(value.encode()).hexdigest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(digest, self._token_sha256):
            raise CandorError(Reason.CALLER_UNAUTHENTICATED, "send the metadata `authorization: Bearer TOKEN`")
