"""Channels to our services: TLS, token, balancing, retries, deadlines; failed calls become CandorErrors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from chassis.errors import CandorError, Reason
from chassis.interceptor import REQUEST_ID_HEADER
from chassis.logs import request_id
from chassis.rpc_errors import from_rpc_error
from chassis.settings import ClientSettings

Response = TypeVar("Response")

_SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                # Every call of ours is idempotent (by content, digest or request id), so UNAVAILABLE alone is repeated.
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "3s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a service is and how to speak to it."""

    address: str
    token: str = ""
    tls_ca: bytes | None = None
    tls_cert: bytes | None = None
    tls_key: bytes | None = None

    @classmethod
    def from_settings(cls, settings: ClientSettings) -> Target:
        """Read the files that the settings name."""
        return cls(
            address=settings.target,
            token=_read(settings.token_file).decode().strip(),
            tls_ca=_read(settings.tls_ca_file) or None,
            tls_cert=_read(settings.tls_cert_file) or None,
            tls_key=_read(settings.tls_key_file) or None,
        )


def connect(target: Target, *, max_message_bytes: int = 16 * 2**20) -> grpc.aio.Channel:
    """Open a channel; it connects on first use. Close it when done."""
    options: Sequence[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.service_config", _SERVICE_CONFIG),
        # A service that comes back is found soon: the default waits up to two minutes before it connects again.
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # Loopback and cluster addresses never go through an HTTP proxy.
        ("grpc.enable_http_proxy", 0),
    ]
    interceptors = [kind(target.token) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]
    if target.tls_ca is None:
        return grpc.aio.insecure_channel(target.address, options=options, interceptors=interceptors)
    credentials = grpc.ssl_channel_credentials(target.tls_ca, target.tls_key, target.tls_cert)
    return grpc.aio.secure_channel(target.address, credentials, options=options, interceptors=interceptors)


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Turn a failed call into a CandorError that names the service."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, service) from error


async def stream(service: str, call: AsyncIterable[Response]) -> AsyncIterator[Response]:
    """Iterate a response stream with errors translated."""
    with translated(service):
        async for response in call:
            yield response


class _CallMetadata:
    """Adds the token and the request id under way to each call."""

    def __init__(self, token: str) -> None:
        self._token = token

    def _with_metadata(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if self._token:
            metadata.add("authorization", f"Bearer {self._token}")
        if current := request_id.get():
            metadata.add(REQUEST_ID_HEADER, current)
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


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CandorError(Reason.INVALID_REQUEST, f"{path}: {error.strerror}") from error
