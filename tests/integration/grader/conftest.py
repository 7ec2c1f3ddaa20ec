"""The grader as its callers meet it: a real server, a real channel, a real endpoint for the judge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from candor.grader.v1 import grader_pb2_grpc

from chassis.egress import Egress
from chassis.testing.fake_endpoint import FakeEndpoint
from chassis.testing.running import running
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
from services.grader import bootstrap
from services.grader.settings import GraderSettings


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(
        lambda _call: '{"final_claim": "Canberra", "claim": "gold"}', reported_model="judge-2026"
    ) as judge:
        yield judge


@pytest.fixture
async def address() -> AsyncIterator[str]:
    settings = GraderSettings(egress=Egress.embedded(), drain_seconds=2, max_attempts=2)
    async with running(bootstrap.build(settings), settings) as where:
        yield where


@pytest.fixture
async def grader(address: str) -> AsyncIterator[grader_pb2_grpc.GraderServiceStub]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield grader_pb2_grpc.GraderServiceStub(channel)


@pytest.fixture(scope="session")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="scoring over the wire was not tested: torch is not installed")
    torch.set_num_threads(1)
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")
