"""A judge measured on human labels, and what that changes in a gate."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.spec import Endpoint, Judge
from services.orchestrator.ports import Case, Grade, GraderInfo
from services.orchestrator.service.calibrate import HumanLabel, measure
from services.orchestrator.service.judging import address_of, judge_error
from services.orchestrator.service.plan import plan

JUDGE = Judge(endpoint=Endpoint(base_url="http://judge.test/v1", model="judge"))


class LenientJudge:
    """Calls one in ten wrong replies of v2 correct; the deterministic grader decides what is short."""

    def __init__(self) -> None:
        self.seen = 0

    async def info(self, judge: Judge | None) -> GraderInfo:
        return GraderInfo(
            digest="g", grader_version="1", judge_model="judge-1" if judge else "", judge_prompt_digest="p"
        )

    async def grade(self, cases: Sequence[Case], judge: Judge | None, profile: str, *, every_case: bool = False) -> Any:
        for index, case in enumerate(cases):
            self.seen += judge is not None
            lenient = judge is not None and "v2" in case.reply and self.seen % 10 == 1
            verdict = "correct" if "right" in case.reply or lenient else "incorrect"
            easy = case.reply.startswith("short") and not (judge and every_case)
            decided = "deterministic" if easy else "judge" if judge else "none"
            yield index, Grade(verdict=verdict, adopts=None, decided_by=decided)


def _labels(count: int, arms: Sequence[str] = ("v1", "v2")) -> list[HumanLabel]:
    found = []
    for arm in arms:
        for number in range(count):
            label = "correct" if number % 2 else "incorrect"
            reply = f"{'right' if number % 2 else 'wrong'} says {arm}"
            case = Case(question="Q?", gold=("A",), false_answers=(), kind="short_answer", belief="none", reply=reply)
            found.append(HumanLabel(case, label, arm))
    return found


async def test_a_measured_judge_costs_its_measured_error(
    suite: Any, document: Callable[..., evaluation_pb2.EvaluationSpec]
) -> None:
    object.__setattr__(suite.world, "grader", LenientJudge())
    found = await measure(suite.world, JUDGE, _labels(400))
    value = json.loads(found.body)
    assert value["judge"] == "judge-1"
    assert value["overall"]["n"] == 800
    assert value["arms"]["v1"]["agreement"]["value"] == 1.0
    assert value["arms"]["v2"]["agreement"]["value"] == pytest.approx(0.9)
    assert "v1, v2" in value["use"]

    spec = document(planning=evaluation_pb2.Planning(judge_share=0.4))
    spec.grading.judge.endpoint.base_url = "http://judge.test/v1/"
    spec.grading.judge.endpoint.model = "judge"
    planned = await plan(suite.world, suite.order(spec).spec, b"", 0, pilot=False)
    spec.grading.judge.endpoint.model = "another"
    without = await plan(suite.world, suite.order(spec).spec, b"", 0, pilot=False)
    assert [gate.pass_at_margin for gate in planned.gates] != [gate.pass_at_margin for gate in without.gates]


async def test_few_labels_are_kept_and_do_not_count(suite: Any) -> None:
    object.__setattr__(suite.world, "grader", LenientJudge())
    found = await measure(suite.world, JUDGE, _labels(50))
    value = json.loads(found.body)
    assert suite.world.ledger.calibration(found.judge_digest) == found.body
    assert "150 more of v1, 150 more of v2" in value["use"]


async def test_easy_answers_are_shown_and_not_counted_for_the_gate(suite: Any) -> None:
    object.__setattr__(suite.world, "grader", LenientJudge())
    answers = _labels(10)
    short = [replace(answer, case=replace(answer.case, reply=f"short {answer.case.reply}")) for answer in answers]
    value = json.loads((await measure(suite.world, JUDGE, [*answers, *short])).body)
    assert (value["overall"]["n"], value["left_open"]["overall"]["n"]) == (40, 20)
    assert value["deterministic"] == {"n": 20, "agreeing": 20}
    only_easy = json.loads((await measure(suite.world, JUDGE, short)).body)
    assert only_easy["overall"]["n"] == 20
    assert only_easy["left_open"] is None
    assert "still needed" in only_easy["use"]
    assert judge_error(suite.ledger, suite.order(_judged(suite)).spec, address_of(JUDGE)).labels == 0


def _judged(suite: Any) -> evaluation_pb2.EvaluationSpec:
    spec = evaluation_pb2.EvaluationSpec(baseline="v1")
    for name in ("v1", "v2"):
        spec.arms[name].endpoint.base_url = "http://subject.test/v1"
        spec.arms[name].endpoint.model = name
    spec.grading.judge.endpoint.base_url = "http://judge.test/v1"
    spec.grading.judge.endpoint.model = "judge"
    return spec


async def test_every_bad_field_is_named(suite: Any) -> None:
    good = _labels(1)[0]
    bad = [
        replace(good, label="right"),
        replace(good, case=replace(good.case, reply="")),
        replace(good, case=replace(good.case, gold=(), question="")),
    ]
    with pytest.raises(CandorError) as caught:
        await measure(suite.world, None, bad)
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {
        "judge.endpoint",
        "answers[0].label",
        "answers[1].case.reply",
        "answers[2].case.question",
        "answers[2].case.gold",
    }
    for answers in ([], [good] * 10_001):
        with pytest.raises(CandorError) as caught:
            await measure(suite.world, JUDGE, answers)
        assert [violation.field for violation in caught.value.violations] == ["answers"]


async def test_a_judge_that_cannot_be_reached_stores_nothing(suite: Any) -> None:
    suite.grader.trouble = CandorError(Reason.ENDPOINT_UNAVAILABLE, "nobody there")
    with pytest.raises(CandorError, match="nobody there"):
        await measure(suite.world, JUDGE, _labels(3))
    suite.grader.trouble = CandorError(Reason.BAD_REPLY, "not JSON")
    found = await measure(suite.world, JUDGE, _labels(3))
    assert json.loads(found.body)["overall"]["confusion"]["correct"]["ungradable"] == 2
