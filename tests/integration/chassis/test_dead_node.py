"""A server whose node dies says nothing more; a server that is slow says nothing either, for a while."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from candor.inference.v1 import inference_pb2, inference_pb2_grpc

from chassis import keepalive
from chassis.clients import Target, connect, translated
from chassis.errors import CandorError, Reason
from chassis.running import running
from chassis.serving import Service
from chassis.settings import ServerSettings


class Node:
    """A relay before a server. After `die` it holds its connections, carries nothing, and takes no new ones."""

    def __init__(self, address: str) -> None:
        self._host, port = address.rsplit(":", 1)
        self._port = int(port)
        self._dead = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def die(self) -> None:
        assert self._server is not None
        self._dead.set()
        self._server.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        for source, target in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._carry(source, target)))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while True:
                data = await source.read(65536)
                if self._dead.is_set():
                    await asyncio.Event().wait()  # nothing goes through, not even that the other side has closed
                if not data:
                    break
                target.write(data)
                await target.drain()
        finally:
            target.close()


@asynccontextmanager
async def node_before(address: str) -> AsyncIterator[tuple[Node, str]]:
    node = Node(address)
    try:
        yield node, await node.start()
    finally:
        await node.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "SILENCE_MS", 400)
    monkeypatch.setattr(keepalive, "PATIENCE_MS", 2_000)
    monkeypatch.setattr(keepalive, "is_loopback", lambda host: False)


@pytest.mark.usefixtures("impatient")
async def test_a_call_to_a_node_that_died_ends_long_before_its_deadline(service: Callable[..., Service]) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def for_ever() -> None:
        begun.set()
        await never.wait()

    async with running(service(for_ever), ServerSettings(drain_seconds=0)) as address:
        async with node_before(address) as (node, door), connect(Target(door)) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)

            async def ask() -> None:
                with translated("inference"):
                    await stub.DescribeModel(inference_pb2.DescribeModelRequest(), timeout=600)

            asked = asyncio.create_task(ask())
            await begun.wait()
            node.die()
            with pytest.raises(CandorError) as caught:
                async with asyncio.timeout(120):
                    await asked
        never.set()
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_is_silent_for_long_is_asked_often_and_does_not_hang_up(
    service: Callable[..., Service],
) -> None:
    begun: list[float] = []

    async def slowly() -> None:
        begun.append(asyncio.get_running_loop().time())
        # What the call takes: gRPC asks once a second at most, and a server hangs up at the third.
        await asyncio.sleep(9)

    async with running(service(slowly), ServerSettings()) as address, connect(Target(address)) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        answer = await stub.DescribeModel(inference_pb2.DescribeModelRequest(), timeout=60)
    assert answer.identity.digest == "sha256:1"
    assert len(begun) == 1, "a server that hangs up makes its client ask again"
