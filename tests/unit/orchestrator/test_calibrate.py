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

    async def grade(self, cases: Sequence[Case], judge: Judge | None, refusal_profile: str) -> Any:
        for index, case in enumerate(cases):
            self.seen += 1
            lenient = "v2" in case.reply and self.seen % 10 == 1
            verdict = "correct" if "right" in case.reply or lenient else "incorrect"
            decided = "deterministic" if case.reply.startswith("short") else "judge"
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


async def test_what_the_deterministic_grader_decides_says_nothing_of_the_judge(suite: Any) -> None:
    object.__setattr__(suite.world, "grader", LenientJudge())
    answers = _labels(10)
    short = [replace(answer, case=replace(answer.case, reply="short right")) for answer in answers]
    found = await measure(suite.world, JUDGE, [*answers, *short])
    value = json.loads(found.body)
    assert (value["answers"], value["overall"]["n"]) == (40, 20)
    assert value["deterministic"] == {"n": 20, "agreeing": 10}
    with pytest.raises(CandorError, match="nothing for the judge") as caught:
        await measure(suite.world, JUDGE, short)
    assert caught.value.reason is Reason.INVALID_REQUEST


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
