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

PING = bytes((0, 0, 8, 6, 0, 0, 0, 0, 0))  # the header of an HTTP/2 PING frame that is no answer to one


class Node:
    """A relay before a server. After `die` it holds its connections, carries nothing, and takes no new ones."""

    def __init__(self, address: str) -> None:
        self._host, port = address.rsplit(":", 1)
        self._port = int(port)
        self._dead = asyncio.Event()
        self._asked = 0
        self._enough: tuple[int, asyncio.Event] = (0, asyncio.Event())
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def die(self) -> None:
        assert self._server is not None
        self._dead.set()
        self._server.close()

    async def asked(self, times: int) -> None:
        """Return once the client has asked so often from now on whether the server lives."""
        self._enough = (self._asked + times, asyncio.Event())
        await self._enough[1].wait()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        for source, target, seen in ((reader, back, self._count), (there, writer, None)):
            self._tasks.add(asyncio.create_task(self._carry(source, target, seen)))

    def _count(self, data: bytes) -> None:
        self._asked += data.count(PING)
        wanted, enough = self._enough
        if self._asked >= wanted:
            enough.set()

    async def _carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        seen: Callable[[bytes], None] | None,
    ) -> None:
        try:
            while True:
                data = await source.read(65536)
                if self._dead.is_set():
                    await asyncio.Event().wait()  # nothing goes through, not even that the other side has closed
                if not data:
                    break
                if seen is not None:
                    seen(data)
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
    begun = 0

    async def slowly() -> None:
        nonlocal begun
        begun += 1
        await node.asked(6)  # a server that takes this for a flood hangs up at the third

    async with (
        running(service(slowly), ServerSettings()) as address,
        node_before(address) as (node, door),
        connect(Target(door)) as channel,
    ):
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        answer = await stub.DescribeModel(inference_pb2.DescribeModelRequest(), timeout=120)
    assert answer.identity.digest == "sha256:1"
    assert begun == 1, "a server that hangs up makes its client ask again"
