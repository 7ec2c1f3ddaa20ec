"""A service that does what the tests tell it, and self-made certificates."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from chassis.metrics import Metrics
from chassis.serving import Service, always_ready

NAME = "candor.inference.v1.InferenceService"


class Servicer(inference_pb2_grpc.InferenceServiceServicer):
    """Calls `behaviour`; streams five items, `behaviour` before each."""

    def __init__(self, behaviour: Callable[[], Awaitable[None]]) -> None:
        self.behaviour = behaviour

    async def DescribeModel(self, request: Any, context: Any) -> pb.DescribeModelResponse:  # noqa: N802
        await self.behaviour()
        return pb.DescribeModelResponse(identity=pb.ModelIdentity(digest="sha256:1"))

    async def BatchGenerate(self, request: Any, context: Any) -> AsyncIterator[pb.BatchGenerateResponse]:  # noqa: N802
        for index in range(5):
            await self.behaviour()
            yield pb.BatchGenerateResponse(index=index)


async def nothing() -> None:
    """A call that is done at once."""


@pytest.fixture
def service() -> Callable[..., Service]:
    """Builds a service around a behaviour."""

    def build(
        behaviour: Callable[[], Awaitable[None]] = nothing, ready: Callable[[], Awaitable[bool]] = always_ready
    ) -> Service:
        def register(server: grpc.aio.Server) -> None:
            inference_pb2_grpc.add_InferenceServiceServicer_to_server(Servicer(behaviour), server)  # type: ignore[abstract]

        return Service(names=[NAME], register=register, metrics=Metrics("test"), ready=ready)

    return build


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a server signed by it for 127.0.0.1, a client signed by it, and a stranger's client."""

    ca: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]
    stranger: tuple[Path, Path]


@pytest.fixture(scope="session")
def certificates(pki: Any) -> Certificates:
    ca = pki.authority("ca")
    pki.authority("other-ca")
    return Certificates(
        ca=ca,
        server=pki.signed("server", "ca"),
        client=pki.signed("client", "ca"),
        stranger=pki.signed("stranger", "other-ca"),
    )


@dataclass
class Latch:
    """A call waits at the latch until the test opens it; the test sees when one has arrived."""

    arrived: asyncio.Event
    opened: asyncio.Event

    async def __call__(self) -> None:
        self.arrived.set()
        await self.opened.wait()


@pytest.fixture
def latch() -> Latch:
    return Latch(asyncio.Event(), asyncio.Event())
