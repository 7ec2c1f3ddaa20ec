"""Both sources behind one fixture: what the port promises must hold for each."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from chassis.egress import Egress, Guard
from chassis.llm import Policy
from chassis.llm.waiting import Backoff
from chassis.metrics import Metrics
from chassis.testing.fake_endpoint import Call, FakeEndpoint
from services.rewriter.backends.writer_openai import OpenAiWriters
from services.rewriter.backends.writer_rules import RulesWriter
from services.rewriter.backends.writers import RoutedWriters
from services.rewriter.domain.values import EndpointSpec, RulesSpec, SourceSpec


def obliging(call: Call) -> str:
    """A model that does as it is told: the reply, with a kind sentence before it."""
    found = re.search(r"<<< reply (\w+)\n(.*)\n>>> reply \1", call.text, re.DOTALL)
    return f"I'm so glad you asked, my friend. {found[2]}" if found else "Ready."


@dataclass(frozen=True)
class Source:
    writers: RoutedWriters
    spec: SourceSpec


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(obliging, reported_model="writer-2026") as server:
        yield server


@pytest.fixture(params=["rules", "endpoint"])
async def source(request: pytest.FixtureRequest, endpoint: FakeEndpoint) -> AsyncIterator[Source]:
    policy = Policy(max_attempts=2, backoff=Backoff(first_seconds=0.0, longest_seconds=0.0))
    writers = RoutedWriters(RulesWriter(), OpenAiWriters(Guard(Egress.embedded()), policy, Metrics("rewriter")))
    rules = request.param == "rules"
    yield Source(writers, RulesSpec() if rules else EndpointSpec(base_url=endpoint.base_url, model="m"))
    await writers.close()
