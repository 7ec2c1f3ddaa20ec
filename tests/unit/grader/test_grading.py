"""A batch: what is decided leaves at once, the rest goes to the judge, each index once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from chassis.errors import CandorError, Reason
from chassis.metrics import Metrics
from services.grader.domain import judging
from services.grader.domain.answers.case import AnswerCase, AnswerGrade, DecidedBy, Usage, Verdict
from services.grader.domain.judging import JudgeSpec
from services.grader.service.grader import GraderService, Info
from services.grader.service.grading import Grading

SPEC = JudgeSpec(base_url="http://judge/v1", model="judge")
Outcomes = dict[int, AnswerGrade | CandorError]


class FakeJudge:
    """Implements `ports.Judge` by a function; keeps what it was asked."""

    width = 3

    def __init__(self, answer: Callable[[AnswerCase], AnswerGrade]) -> None:
        self.answer = answer
        self.asked: list[AnswerCase] = []

    async def judge(self, case: AnswerCase) -> AnswerGrade:
        self.asked.append(case)
        return self.answer(case)


class FakeJudges:
    """Implements `ports.Judges` with one judge."""

    def __init__(self, judge: FakeJudge, name: str = "judge-1", error: CandorError | None = None) -> None:
        self._judge = judge
        self.name = name
        self._error = error
        self.readied = 0

    async def ready(self, spec: JudgeSpec) -> FakeJudge:
        self.readied += 1
        if self._error:
            raise self._error
        return self._judge

    async def identity(self, spec: JudgeSpec) -> str:
        return self.name


def says_gold(case: AnswerCase) -> AnswerGrade:
    return judging.read('{"final_claim": "x", "claim": "gold"}', case, "judge-1", Usage(prompt_tokens=10))


def case(reply: str) -> AnswerCase:
    return AnswerCase(question="Capital of Australia?", gold=("Canberra",), false_answers=("Sydney",), reply=reply)


SURE, OPEN = case("It is Canberra."), case("A planned city south-west of Sydney.")


async def graded(judges: FakeJudges, cases: Sequence[AnswerCase], spec: JudgeSpec | None = SPEC) -> Outcomes:
    outcomes: Outcomes = {}
    async for index, outcome in Grading(judges).grade(cases, spec, "candor"):
        assert index not in outcomes
        outcomes[index] = outcome
    assert set(outcomes) == set(range(len(cases)))
    return outcomes


def grade_at(outcomes: Outcomes, index: int) -> AnswerGrade:
    outcome = outcomes[index]
    assert not isinstance(outcome, CandorError)
    return outcome


async def test_without_a_judge_the_rest_is_ungradable() -> None:
    judges = FakeJudges(FakeJudge(says_gold))
    outcomes = await graded(judges, [SURE, OPEN], None)
    assert grade_at(outcomes, 0).verdict is Verdict.CORRECT
    assert (grade_at(outcomes, 1).verdict, grade_at(outcomes, 1).decided_by) == (Verdict.UNGRADABLE, DecidedBy.NONE)
    assert judges.readied == 0


async def test_the_judge_sees_only_what_is_undecided() -> None:
    judge = FakeJudge(says_gold)
    outcomes = await graded(FakeJudges(judge), [SURE, OPEN, SURE])
    assert judge.asked == [OPEN]
    assert grade_at(outcomes, 1).decided_by is DecidedBy.JUDGE
    assert grade_at(outcomes, 0).decided_by is DecidedBy.DETERMINISTIC


async def test_a_judge_under_test_sees_every_case() -> None:
    judge = FakeJudge(says_gold)
    spec = JudgeSpec(base_url="http://judge/v1", model="judge", every_case=True)
    outcomes = await graded(FakeJudges(judge), [SURE, OPEN], spec)
    assert len(judge.asked) == 2
    assert grade_at(outcomes, 0).decided_by is DecidedBy.JUDGE


async def test_equal_cases_cost_one_judgement_and_its_usage_counts_once() -> None:
    judge = FakeJudge(says_gold)
    outcomes = await graded(FakeJudges(judge), [OPEN, OPEN, case("Perhaps inland."), OPEN])
    assert len(judge.asked) == 2
    usages = [grade_at(outcomes, index).usage for index in (0, 1, 3)]
    assert [usage.prompt_tokens for usage in usages if usage] == [10]
    assert all(grade_at(outcomes, index).verdict is Verdict.CORRECT for index in range(4))


async def test_equal_words_under_another_belief_are_another_case() -> None:
    judge = FakeJudge(says_gold)
    other = AnswerCase(
        question=OPEN.question,
        gold=OPEN.gold,
        false_answers=OPEN.false_answers,
        reply=OPEN.reply,
        belief="none_lead_in",
    )
    await graded(FakeJudges(judge), [OPEN, other])
    assert len(judge.asked) == 2


async def test_a_judgement_that_fails_is_that_cases_error() -> None:
    def answer(asked: AnswerCase) -> AnswerGrade:
        if "inland" in asked.reply:
            raise CandorError(Reason.ENDPOINT_TIMEOUT, "too late")
        return says_gold(asked)

    outcomes = await graded(FakeJudges(FakeJudge(answer)), [OPEN, case("Perhaps inland.")])
    assert grade_at(outcomes, 0).verdict is Verdict.CORRECT
    assert isinstance(outcomes[1], CandorError)


async def test_a_judge_that_cannot_be_used_ends_the_batch_before_its_first_outcome() -> None:
    error = CandorError(Reason.ENDPOINT_UNAVAILABLE, "gone")
    with pytest.raises(CandorError, match="gone"):
        await graded(FakeJudges(FakeJudge(says_gold), error=error), [SURE])


async def test_a_defect_in_a_judge_is_not_swallowed() -> None:
    def answer(asked: AnswerCase) -> AnswerGrade:
        raise KeyError(asked.reply)

    with pytest.raises(KeyError):
        await graded(FakeJudges(FakeJudge(answer)), [OPEN, OPEN])


class NoScorer:
    def score(self, *_: object) -> object:
        raise AssertionError

    def version(self) -> str:
        return "scorer 1"


async def digest_of(judges: FakeJudges, spec: JudgeSpec | None) -> str:
    service = GraderService(judges, NoScorer(), Metrics("grader"))  # type: ignore[arg-type]
    return (await service.info(spec)).digest


async def test_the_digest_changes_with_the_judge_and_only_then() -> None:
    judges = FakeJudges(FakeJudge(says_gold))
    with_judge, without = await digest_of(judges, SPEC), await digest_of(judges, None)
    assert with_judge != without
    assert with_judge == await digest_of(judges, SPEC)
    judges.name = "judge-2"
    assert await digest_of(judges, SPEC) != with_judge


def test_another_precision_of_the_scorer_regrades_nothing() -> None:
    versions = {"grader_version": "3", "judge_prompt_digest": "p", "judge_model": "j"}
    full, half = (Info(sociot_version=name, **versions) for name in ("sociot/1", "sociot/1 bfloat16"))
    assert full.digest == half.digest
    assert Info(sociot_version="sociot/1", **{**versions, "judge_model": "k"}).digest != full.digest
