"""Replicas that are replaced one after the other while they are called: no call is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from chassis.clients import Target, connect, stream, translated
from chassis.errors import CandorError, Reason
from chassis.serving import Service, serve
from chassis.settings import ServerSettings

Build = Callable[..., Service]
CALLERS = 20
CALLS_BETWEEN_STOPS = 150


class Replica:
    """One server that can be stopped and started again on its port."""

    def __init__(self, build: Build) -> None:
        self._build, self.port, self._called = build, 0, asyncio.Event()

    async def serves(self) -> None:
        """Return once a call has come since the start: the client knows that it is there again."""
        await self._called.wait()

    async def _work(self) -> None:
        self._called.set()
        await asyncio.sleep(0.005)  # a call takes a moment, so that some are always under way

    async def start(self) -> None:
        self._called.clear()
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        settings = ServerSettings(port=self.port)
        self._task = asyncio.create_task(serve(self._build(self._work), settings, started=started, stop=self._stop))
        self.port = await started

    async def stop(self) -> None:
        self._stop.set()
        await self._task


class Load:
    """Calls without a pause, unary and streamed; whatever fails ends the test."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = inference_pb2_grpc.InferenceServiceStub(channel)
        self._made, self._more, self._ends = 0, asyncio.Event(), False

    def begin(self, group: asyncio.TaskGroup) -> None:
        for number in range(CALLERS):
            group.create_task(self._call(number))

    async def calls(self, count: int) -> None:
        wanted = self._made + count
        while self._made < wanted:
            self._more.clear()
            await self._more.wait()

    def end(self) -> None:
        self._ends = True

    async def _call(self, number: int) -> None:
        while not self._ends:
            if number % 2:
                with translated("inference"):
                    await self._stub.DescribeModel(pb.DescribeModelRequest(), timeout=30)
            else:
                call = self._stub.BatchGenerate(pb.BatchGenerateRequest(), timeout=30)
                assert [each.index async for each in stream("inference", call)] == [0, 1, 2, 3, 4]
            self._made += 1
            self._more.set()


@pytest.fixture
async def replicas(service: Build) -> AsyncIterator[list[Replica]]:
    found = [Replica(service) for _ in range(2)]
    for each in found:
        await each.start()
    yield found
    for each in found:
        await each.stop()


async def test_a_rolling_restart_under_load_loses_no_call(replicas: list[Replica]) -> None:
    target = Target("ipv4:" + ",".join(f"127.0.0.1:{each.port}" for each in replicas))
    async with connect(target) as channel, asyncio.TaskGroup() as group:
        load = Load(channel)
        load.begin(group)
        for replica in [*replicas, *replicas]:
            await load.calls(CALLS_BETWEEN_STOPS)
            await replica.stop()
            await load.calls(CALLS_BETWEEN_STOPS)  # the other one serves
            await replica.start()
            await replica.serves()
        load.end()


async def test_a_call_that_a_stopping_server_dropped_is_made_again(service: Build, unused_tcp_port: int) -> None:
    tries = 0

    class Dropping(inference_pb2_grpc.InferenceServiceServicer):
        async def DescribeModel(self, request: Any, context: Any) -> pb.DescribeModelResponse:  # noqa: N802
            nonlocal tries
            tries += 1
            if tries <= until:
                await context.abort(grpc.StatusCode.CANCELLED)
            return pb.DescribeModelResponse()

    server = grpc.aio.server()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(Dropping(), server)  # type: ignore[abstract]
    server.add_insecure_port(f"127.0.0.1:{unused_tcp_port}")
    await server.start()
    async with connect(Target(f"127.0.0.1:{unused_tcp_port}")) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        until = 1
        await stub.DescribeModel(pb.DescribeModelRequest(), timeout=20)
        assert tries == 2
        until = 99
        with pytest.raises(CandorError) as caught, translated("inference"):
            await stub.DescribeModel(pb.DescribeModelRequest(), timeout=20)
        assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
    await server.stop(None)
