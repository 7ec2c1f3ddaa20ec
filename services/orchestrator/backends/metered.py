"""Inference and grader with what goes through them counted; nothing else changes.

Operations and kinds of tokens have names of their own: the services called count the same items under theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager

from prometheus_client import Counter, Gauge

from chassis.errors import CandorError
from chassis.metrics import Metrics, outstanding
from services.orchestrator.backends.inference_routed import ANY
from services.orchestrator.domain.spec import Arm, Endpoint, Judge, Sampling, Warmth
from services.orchestrator.ports import (
    Case,
    Check,
    Grade,
    Grader,
    GraderInfo,
    Identity,
    Inference,
    Prompt,
    Reply,
    Usage,
)

ENDPOINT, CHECKPOINT = CLASSES = ("endpoint", "checkpoint")


class Demand:
    """Prompts that wait for an inference service or are with one, and replies that came, by class of models and target.

    What scales inference from zero looks at the former: the calls wait, and go on once somebody answers.

    Args:
        metrics: Where it is exposed.
        targets: Names under which services are set up.
    """

    def __init__(self, metrics: Metrics, targets: Sequence[str]) -> None:
        labels, registry = ["class", "target"], metrics.registry
        text = "Prompts and checks that want an inference service."
        self._wanted = Gauge("candor_inference_demand", text, labels, registry=registry)
        self._replies = Counter("candor_inference_replies", "Replies that came from it.", labels, registry=registry)
        for target in targets:
            for name in CLASSES if target == ANY else (ENDPOINT if target == ENDPOINT else CHECKPOINT,):
                self._wanted.labels(name, target)
                self._replies.labels(name, target)

    def wanted(self, arm: Arm, target: str) -> Gauge:
        """The gauge of an arm's calls to a target."""
        return self._wanted.labels(_class(arm), target)

    def replies(self, arm: Arm, target: str) -> Counter:
        """The counter of an arm's replies from a target."""
        return self._replies.labels(_class(arm), target)


class MeteredInference:
    """Implements `ports.Inference` around one target.

    Args:
        inner: The service.
        target: Its name.
        demand: Calls under way are counted here.
        metrics: Items and tokens are counted here.
    """

    def __init__(self, inner: Inference, target: str, demand: Demand, metrics: Metrics) -> None:
        self._inner = inner
        self._target = target
        self._demand = demand
        self._metrics = metrics

    def check_target(self, arm: Arm) -> None:
        """See ports."""
        self._inner.check_target(arm)

    async def describe(self, arm: Arm) -> Identity:
        """See ports."""
        with self._wanted(arm):
            return await self._inner.describe(arm)

    async def check(self, arm: Arm, sampling: Sampling, base: Arm | None = None) -> Check:
        """See ports."""
        with self._wanted(arm):
            return await self._inner.check(arm, sampling, base)

    async def generate(
        self, arm: Arm, sampling: Sampling, digest: str, prompts: Sequence[Prompt]
    ) -> AsyncIterator[tuple[int, Reply | CandorError]]:
        """See ports."""
        replies = self._demand.replies(arm, self._target)
        with outstanding(self._demand.wanted(arm, self._target), len(prompts)) as finished:
            async for index, outcome in self._inner.generate(arm, sampling, digest, prompts):
                finished()
                _count(self._metrics, "call_generate", outcome)
                if not isinstance(outcome, CandorError):
                    replies.inc()
                    _count_tokens(self._metrics, "subject", outcome.usage)
                yield index, outcome

    def _wanted(self, arm: Arm) -> AbstractContextManager[object]:
        return outstanding(self._demand.wanted(arm, self._target), 1)


class MeteredGrader:
    """Implements `ports.Grader` around another.

    Args:
        inner: The service.
        metrics: Items, tokens and the queue are counted here.
    """

    def __init__(self, inner: Grader, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def info(self, judge: Judge | None) -> GraderInfo:
        """See ports."""
        return await self._inner.info(judge)

    async def grade(
        self, cases: Sequence[Case], judge: Judge | None, refusal_profile: str, *, every_case: bool = False
    ) -> AsyncIterator[tuple[int, Grade | CandorError]]:
        """See ports."""
        with self._metrics.accepted("call_grade", len(cases)) as finished:
            async for index, outcome in self._inner.grade(cases, judge, refusal_profile, every_case=every_case):
                finished()
                _count(self._metrics, "call_grade", outcome)
                if not isinstance(outcome, CandorError):
                    _count_tokens(self._metrics, "judge", outcome.usage)
                yield index, outcome

    async def score(
        self, texts: Sequence[str], warmth: Warmth
    ) -> AsyncIterator[tuple[int, float | CandorError | None]]:
        """See ports."""
        with self._metrics.accepted("call_score", len(texts)) as finished:
            async for index, outcome in self._inner.score(texts, warmth):
                finished()
                _count(self._metrics, "call_score", outcome)
                yield index, outcome


def _class(arm: Arm) -> str:
    return ENDPOINT if isinstance(arm.source, Endpoint) else CHECKPOINT


def _count(metrics: Metrics, operation: str, outcome: object) -> None:
    label = outcome.reason.name if isinstance(outcome, CandorError) else "unscored" if outcome is None else "ok"
    metrics.items.labels(operation, label).inc()


def _count_tokens(metrics: Metrics, who: str, usage: Usage) -> None:
    if usage.prompt_tokens or usage.completion_tokens:
        metrics.tokens.labels(f"{who}_prompt").inc(usage.prompt_tokens)
        metrics.tokens.labels(f"{who}_completion").inc(usage.completion_tokens)
