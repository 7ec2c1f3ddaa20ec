"""Truthful health: the readiness of the service by its names, and `live`, which does not depend on others.

Readiness (the empty name and the names of the proto services) is SERVING while the service can do its work. `live` is
SERVING while the process answers and does not drain: a service whose ledger or peer is away must not be restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import Gauge

from chassis.errors import CandorError

LIVE = "live"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """The health service, told by a readiness check.

    Args:
        names: The proto services whose readiness it says.
        ready: Whether they can work now.
        interval_seconds: How often it is asked, and how long it may take to answer.
        gauge: Says the same in the metrics.
    """

    def __init__(
        self, names: Sequence[str], ready: Callable[[], Awaitable[bool]], interval_seconds: float, gauge: Gauge
    ) -> None:
        self._names = ("", *names)
        self._ready = ready
        self._interval = interval_seconds
        self._gauge = gauge
        self._servicer = health.aio.HealthServicer()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve it all."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def check_only(self) -> grpc.GenericRpcHandler:
        """The same health without Watch."""
        check = grpc.unary_unary_rpc_method_handler(
            self._servicer.Check,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Check": check})
        return handler

    async def begin(self) -> None:
        """Know the state before the first call can ask."""
        await self._servicer.set(LIVE, _SERVING)
        await self._tell()

    async def keep(self) -> None:
        """Ask for ever. Ends with the error of a readiness check that has a defect."""
        while True:
            await asyncio.sleep(self._interval)
            await self._tell()

    async def drain(self) -> None:
        """Say NOT_SERVING from now on, whatever is told later."""
        self._gauge.set(0)
        await self._servicer.enter_graceful_shutdown()

    async def _tell(self) -> None:
        """Ask the service whether it is ready; an error or no answer is a no."""
        try:
            async with asyncio.timeout(self._interval):
                ready = await self._ready()
        except (CandorError, TimeoutError):
            ready = False
        self._gauge.set(ready)
        for name in self._names:
            await self._servicer.set(name, _SERVING if ready else _NOT_SERVING)


def probe_server(health_service: Health) -> grpc.aio.Server:
    """A server of health's Check alone, for probes that speak neither TLS nor tokens.

    Whoever reaches it may call, and must not keep the kubelet out, which would restart the process: there is no Watch to
    hold open, no number of calls that could be used up, and what is begun and not ended goes with its connection.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", 4096),
            ("grpc.max_concurrent_streams", 8),
            ("grpc.max_connection_age_ms", 10_000),
            ("grpc.max_connection_age_grace_ms", 1_000),
        ]
    )
    server.add_generic_rpc_handlers([health_service.check_only()])
    return server
