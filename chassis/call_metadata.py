"""What a client adds to each call: the caller's token, the request id and the trace under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from chassis.logs import request_id
from chassis.tracing import HEADER, traceparent

REQUEST_ID_HEADER = "x-request-id"


class _CallMetadata:
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def _with_metadata(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if token := self._token():
            metadata.add("authorization", f"Bearer {token}")
        if current := request_id.get():
            metadata.add(REQUEST_ID_HEADER, current)
        if trace := traceparent.get():
            metadata.add(HEADER, trace)
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


# One class a kind of call: a channel takes an interceptor for the first kind that it is an instance of, and no other.
class _UnaryUnary(_CallMetadata, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await continuation(self._with_metadata(details), request)


class _UnaryStream(_CallMetadata, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await continuation(self._with_metadata(details), request)


class _StreamUnary(_CallMetadata, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._with_metadata(details), request_iterator)


class _StreamStream(_CallMetadata, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._with_metadata(details), request_iterator)


def interceptors(token: Callable[[], str]) -> list[grpc.aio.ClientInterceptor]:
    """Interceptors for a channel; `token` gives what to send now, empty for none."""
    return [kind(token) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]
