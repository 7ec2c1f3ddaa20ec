"""The rewriter as its callers meet it: a real server, a real channel, a real endpoint for the model."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from candor.rewriter.v1 import rewriter_pb2_grpc

from chassis.egress import Egress
from chassis.testing.fake_endpoint import Call, FakeEndpoint
from chassis.testing.running import running
from services.rewriter import bootstrap
from services.rewriter.settings import RewriterSettings


def obliging(call: Call) -> str:
    """A model that does as it is told: the reply, with a kind sentence before it."""
    found = re.search(r"<<< reply (\w+)\n(.*)\n>>> reply \1", call.text, re.DOTALL)
    return f"I'm so glad you asked, my friend. {found[2]}" if found else "Ready."


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(obliging, reported_model="writer-2026") as model:
        yield model


@pytest.fixture
async def address() -> AsyncIterator[str]:
    settings = RewriterSettings(egress=Egress.embedded(), drain_seconds=2, max_attempts=3)
    async with running(bootstrap.build(settings), settings) as where:
        yield where


@pytest.fixture
async def rewriter(address: str) -> AsyncIterator[rewriter_pb2_grpc.RewriterServiceStub]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield rewriter_pb2_grpc.RewriterServiceStub(channel)
