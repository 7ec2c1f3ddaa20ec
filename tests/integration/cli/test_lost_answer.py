"""The answer to `candor evaluate --new` is lost on its way, and the call is made again."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc

from candor_cli.main import invoke

DOCUMENT = """
arms:
  v1: {endpoint: {base_url: "http://127.0.0.1:1/v1", model: m}}
  v2: {endpoint: {base_url: "http://127.0.0.1:1/v1", model: n}}
baseline: v1
"""


class Losing(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Starts what it is asked for, and answers the second time."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def CreateEvaluation(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC names it
        self.asked.append(request.request_id)
        if len(self.asked) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
        return orchestrator_pb2.Evaluation(name="evaluations/one", state="CANCELLED", reason="for this test")


@pytest.fixture
def losing() -> Iterator[tuple[Losing, str]]:
    """The servicer and where it listens, on a loop of its own: the command has its own, too."""
    loop, servicer = asyncio.new_event_loop(), Losing()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield servicer, f"127.0.0.1:{port}"
    asyncio.run_coroutine_threadsafe(server.stop(None), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_both_calls_ask_for_the_same_evaluation(losing: tuple[Losing, str], tmp_path: Path) -> None:
    servicer, address = losing
    document = tmp_path / "document.yaml"
    document.write_text(DOCUMENT)
    invoke(["evaluate", str(document), "--new", "--orchestrator", address])
    first, second = servicer.asked
    assert first == second != ""
