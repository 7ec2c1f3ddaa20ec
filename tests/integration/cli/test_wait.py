"""A command that waits for an orchestrator which is not there yet, as a Job's pod does while a cluster starts."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc

from candor_cli.options import Remote
from candor_cli.session import orchestrator
from chassis.errors import CandorError, Reason


class Tasks(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    async def ListTasks(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC names it
        return orchestrator_pb2.ListTasksResponse(tasks=[orchestrator_pb2.TaskInfo(name="core")])


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def test_it_goes_on_as_soon_as_the_orchestrator_is_there(port: int, tmp_path: Path) -> None:
    waits = Remote(f"127.0.0.1:{port}", wait_seconds=60)
    server = grpc.aio.server()
    orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(Tasks(), server)

    async def names() -> list[str]:
        async with orchestrator(waits, tmp_path) as client:
            return [task.name for task in (await client.tasks()).tasks]

    asked = asyncio.create_task(names())
    done, _ = await asyncio.wait([asked], timeout=0.3)
    assert not done
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        assert await asked == ["core"]
    finally:
        await server.stop(None)


async def test_patience_that_is_over_is_an_outage_that_names_the_orchestrator(port: int, tmp_path: Path) -> None:
    with pytest.raises(CandorError, match=f"127.0.0.1:{port}: not reached within 0.2 s") as caught:
        async with orchestrator(Remote(f"127.0.0.1:{port}", wait_seconds=0.2), tmp_path):
            pass
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
