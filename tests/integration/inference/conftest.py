"""The inference service over gRPC, with a fake endpoint behind it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from candor.common.v1 import model_pb2
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from chassis.clients import Target, connect
from chassis.egress import Egress
from chassis.testing import FakeEndpoint, running
from services.inference.bootstrap import build
from services.inference.settings import InferenceSettings

Connect = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(lambda call: f"Paris, {call.text}.") as fake:
        yield fake


@pytest.fixture
def service() -> Connect:
    """Starts a service with the given settings and gives its stub."""

    @asynccontextmanager
    async def start(**values: Any) -> AsyncIterator[Any]:
        settings = InferenceSettings(**{"egress": Egress.embedded(), "torch_threads": 1, **values})
        async with running(build(settings), settings) as address:
            channel = connect(Target(address))
            yield inference_pb2_grpc.InferenceServiceStub(channel)
            await channel.close()

    return start


@pytest.fixture
def spec(endpoint: FakeEndpoint) -> model_pb2.ModelSpec:
    return model_pb2.ModelSpec(endpoint=model_pb2.Endpoint(base_url=endpoint.base_url, model="m-1"))


@pytest.fixture
def batch(spec: model_pb2.ModelSpec) -> Callable[..., pb.BatchGenerateRequest]:
    """A request with so many prompts."""

    def build_request(count: int, **parts: Any) -> pb.BatchGenerateRequest:
        prompts = [
            pb.Prompt(messages=[model_pb2.Message(role="user", content=f"question {index}")], seed=index)
            for index in range(count)
        ]
        return pb.BatchGenerateRequest(**{"model": spec, "prompts": prompts, **parts})

    return build_request
