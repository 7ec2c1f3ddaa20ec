"""Inference and grader with what goes through them counted; nothing else changes.

Operations and kinds of tokens have names of their own: the services called count the same items under theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager

from prometheus_client import Gauge

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
    """Prompts that wait for an inference service or are with one, by class of models and target.

    What scales inference from zero looks at this: the calls wait, and go on once somebody answers.

    Args:
        metrics: Where it is exposed.
        targets: Names under which services are set up.
    """

    def __init__(self, metrics: Metrics, targets: Sequence[str]) -> None:
        self._gauge = Gauge(
            "candor_inference_demand",
            "Prompts and checks that want an inference service.",
            ["class", "target"],
            registry=metrics.registry,
        )
        for target in targets:
            for name in CLASSES if target == ANY else (ENDPOINT if target == ENDPOINT else CHECKPOINT,):
                self._gauge.labels(name, target)

    def of(self, arm: Arm, target: str) -> Gauge:
        """The gauge of an arm's calls to a target."""
        return self._gauge.labels(ENDPOINT if isinstance(arm.source, Endpoint) else CHECKPOINT, target)


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
        with outstanding(self._demand.of(arm, self._target), len(prompts)) as finished:
            async for index, outcome in self._inner.generate(arm, sampling, digest, prompts):
                finished()
                _count(self._metrics, "call_generate", outcome)
                if not isinstance(outcome, CandorError):
                    _count_tokens(self._metrics, "subject", outcome.usage)
                yield index, outcome

    def _wanted(self, arm: Arm) -> AbstractContextManager[object]:
        return outstanding(self._demand.of(arm, self._target), 1)


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


def _count(metrics: Metrics, operation: str, outcome: object) -> None:
    label = outcome.reason.name if isinstance(outcome, CandorError) else "unscored" if outcome is None else "ok"
    metrics.items.labels(operation, label).inc()


def _count_tokens(metrics: Metrics, who: str, usage: Usage) -> None:
    if usage.prompt_tokens or usage.completion_tokens:
        metrics.tokens.labels(f"{who}_prompt").inc(usage.prompt_tokens)
        metrics.tokens.labels(f"{who}_completion").inc(usage.completion_tokens)
