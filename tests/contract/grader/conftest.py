"""Judges to hold to the port's contract: the real one against a local endpoint that misbehaves on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from chassis.egress import Egress, Guard
from chassis.llm import Policy
from chassis.llm.waiting import Backoff
from chassis.metrics import Metrics
from chassis.testing.fake_endpoint import FakeEndpoint
from services.grader.backends.judge_openai import OpenAiJudges

GOLD = '{"final_claim": "Canberra", "claim": "gold"}'


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(lambda _call: GOLD, reported_model="judge-2026") as running:
        yield running


@pytest.fixture
async def judges() -> AsyncIterator[OpenAiJudges]:
    policy = Policy(max_attempts=3, attempt_seconds=5, backoff=Backoff(first_seconds=0.01, longest_seconds=0.02))
    judges = OpenAiJudges(Guard(Egress.embedded()), policy, Metrics("grader"))
    yield judges
    await judges.close()
