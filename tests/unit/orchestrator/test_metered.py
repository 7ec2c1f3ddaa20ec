"""Demand for inference is told while a service is waited for, and gone once it has answered."""

import asyncio
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from chassis.metrics import Metrics
from services.orchestrator.backends.metered import Demand, MeteredGrader, MeteredInference
from services.orchestrator.domain.spec import Arm, Checkpoint, Sampling
from services.orchestrator.ports import Case, Prompt

PROMPTS = [Prompt(messages=(("user", f"What is number {number}?"),), seed=1) for number in range(3)]
ARM = Arm(name="v2", source=Checkpoint(path="/models/large"), sampling=Sampling())


class Metered:
    """A target behind the fakes of the suite."""

    def __init__(self, suite: Any, *targets: str) -> None:
        self.metrics = Metrics("orchestrator")
        self.demand = Demand(self.metrics, targets)
        self.inference = MeteredInference(suite.inference, targets[0], self.demand, self.metrics)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def wanted(self, target: str = "checkpoint", of: str = "checkpoint") -> float | None:
        return self.value("candor_inference_demand", **{"class": of, "target": target})

    def answered(self, target: str = "checkpoint", of: str = "checkpoint") -> float | None:
        return self.value("candor_inference_replies_total", **{"class": of, "target": target})


def test_every_target_has_its_demand_from_the_start(suite: Any) -> None:
    found = Metered(suite, "*", "endpoint", "/models/large")
    assert [found.wanted("*", of) for of in ("endpoint", "checkpoint")] == [0, 0]
    assert found.wanted("endpoint", "endpoint") == 0
    assert found.wanted("/models/large") == 0
    assert (found.answered("/models/large"), found.answered("*", "endpoint")) == (0, 0)


async def test_prompts_are_wanted_until_they_are_answered(suite: Any) -> None:
    found = Metered(suite, "checkpoint")
    suite.inference.hold = hold = asyncio.Event()
    replies = found.inference.generate(ARM, Sampling(), "", PROMPTS)
    first = asyncio.ensure_future(anext(replies))
    await asyncio.sleep(0)
    assert found.wanted() == 3
    hold.set()
    await first
    assert found.wanted() == 2
    assert [index async for index, _ in replies] == [1, 2]
    assert found.wanted() == 0
    assert found.answered() == 3
    assert found.value("candor_items_total", operation="call_generate", outcome="ok") == 3
    assert found.value("candor_tokens_total", kind="subject_completion") == 15


async def test_a_target_that_gives_no_reply_has_none(suite: Any) -> None:
    found = Metered(suite, "checkpoint", "endpoint")
    suite.inference.answer = lambda *_: CandorError(Reason.SERVICE_UNAVAILABLE, "scaled to zero")
    assert [index async for index, _ in found.inference.generate(ARM, Sampling(), "", PROMPTS)] == [0, 1, 2]
    assert found.answered() == 0
    assert found.value("candor_items_total", operation="call_generate", outcome="SERVICE_UNAVAILABLE") == 3


async def test_the_first_question_about_a_model_wakes_it(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Metered(suite, "checkpoint")
    seen = []

    async def asleep(*_: object) -> Any:
        seen.append(found.wanted())
        raise CandorError(Reason.SERVICE_UNAVAILABLE, "scaled to zero")

    for name, call in (
        ("describe", lambda: found.inference.describe(ARM)),
        ("check", lambda: found.inference.check(ARM, Sampling())),
    ):
        monkeypatch.setattr(suite.inference, name, asleep)
        with pytest.raises(CandorError):
            await call()
    assert (seen, found.wanted()) == ([1, 1], 0)


async def test_grades_and_scores_are_counted(suite: Any) -> None:
    metrics = Metrics("orchestrator")
    grader = MeteredGrader(suite.grader, metrics)
    case = Case(question="Q?", gold=("gold",), false_answers=(), kind="short_answer", belief="none", reply="gold")
    assert [index async for index, _ in grader.grade([case, case], None, "default")] == [0, 1]
    assert metrics.registry.get_sample_value("candor_items_total", {"operation": "call_grade", "outcome": "ok"}) == 2
    assert metrics.registry.get_sample_value("candor_queue_depth", {"queue": "call_grade"}) == 0
    assert (await grader.info(None)).grader_version == "1"
