"""Whether a service that the orchestrator calls answers at all."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_SECONDS = 2.0


async def answers(channel: grpc.aio.Channel) -> bool:
    """Ask for its health. Any answer counts: a service that is busy making ready can be called."""
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return True
