"""Channels to our services: TLS, token, balancing, retries, deadlines; failed calls become CandorErrors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from chassis import keepalive
from chassis.call_metadata import interceptors
from chassis.errors import CandorError, Reason
from chassis.renewing import RenewingChannel
from chassis.rpc_errors import from_rpc_error
from chassis.settings import ClientSettings
from chassis.tls import channel_credentials
from chassis.watched import Watched

Response = TypeVar("Response")

_SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                # Every call of ours is idempotent (by content, digest or request id; what is deleted twice is at worst not
                # found), so these are made again: nobody was there, or a server that stops dropped a call that it had not
                # begun (gRPC says CANCELLED for that).
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "3s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ],
    }
)


def _no_token() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a service is and how to speak to it.

    Attributes:
        address: host:port, or dns:///name:port.
        token: Gives the bearer token to send now; empty for none.
        credentials: TLS, as its files are now; None: plaintext.
    """

    address: str
    token: Callable[[], str] = _no_token
    credentials: Watched[grpc.ChannelCredentials] | None = None

    @classmethod
    def with_token(cls, address: str, token: str) -> Target:
        """A plaintext target, for loopback."""
        return cls(address, token=lambda: token)

    @classmethod
    def from_settings(cls, settings: ClientSettings) -> Target:
        """Read the files that the settings name, and again when they change.

        Raises:
            CandorError: A file cannot be read or used.
        """
        token = _no_token
        if settings.token_file is not None:
            token = _token(settings.token_file).get
        if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
            raise CandorError(Reason.INVALID_REQUEST, "a client certificate and its key go together: give both files")
        if settings.tls_cert_file is not None and settings.tls_ca_file is None:
            raise CandorError(
                Reason.INVALID_REQUEST,
                "a client certificate needs the roots to trust: they turn TLS on, give their file",
            )
        credentials = None
        if settings.tls_ca_file is not None:
            credentials = channel_credentials(settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)
        return cls(settings.target, token, credentials)


def connect(target: Target, *, max_message_bytes: int = 16 * 2**20) -> grpc.aio.Channel:
    """Open a channel; it connects on first use. Close it when done."""
    options: Sequence[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.service_config", _SERVICE_CONFIG),
        # A service that comes back is found soon: the default waits up to two minutes before it connects again.
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # Replicas that take the places of others are found soon too: the default asks DNS every half minute at most, and a
        # rollout that is faster leaves no address that answers.
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        *keepalive.client_options(target.address),
        # Loopback and cluster addresses never go through an HTTP proxy.
        ("grpc.enable_http_proxy", 0),
    ]
    added = interceptors(target.token)
    if target.credentials is None:
        return grpc.aio.insecure_channel(target.address, options=options, interceptors=added)

    def secure(credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target.address, credentials, options=options, interceptors=added)

    return RenewingChannel(target.credentials, secure)


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


def _token(path: Path) -> Watched[str]:
    def make(content: bytes) -> str:
        token = content.decode("ascii", "replace").strip()
        if any(not " " <= character <= "~" for character in token):
            raise CandorError(Reason.INVALID_REQUEST, f"{path} must hold one token: one line of ASCII characters")
        return token

    return Watched([path], make)
