"""Bad requests: every bad field is named at once, with what to do."""

from __future__ import annotations

import pytest

from chassis.errors import CandorError, Reason
from services.grader.domain import sociot
from services.grader.domain.answers.case import AnswerCase
from services.grader.domain.judging import JudgeSpec
from services.grader.domain.validate import MAX_CASES, check_grading, check_judge, check_scoring

GOOD = AnswerCase(question="Q", gold=("C",), reply="R")


def refused(*cases: AnswerCase, judge: JudgeSpec | None = None, profile: str = "candor") -> CandorError:
    with pytest.raises(CandorError) as caught:
        check_grading(cases, judge, profile)
    return caught.value


def fields(error: CandorError) -> set[str]:
    return {violation.field for violation in error.violations}


def test_a_good_request_passes() -> None:
    check_grading([GOOD], JudgeSpec(base_url="http://judge:8000/v1", model="m"), "ibrahim2026")


def test_all_bad_fields_are_named_at_once() -> None:
    bad = AnswerCase(
        question=" ", gold=("", "x"), false_answers=(" ",), kind="essay", belief="maybe", reply="", options={"AB": "x"}
    )
    judge = JudgeSpec(base_url="ftp://x", model="", api_key_env="A", credential="b", max_tokens=0)
    error = refused(GOOD, bad, judge=judge, profile="other")
    assert error.reason is Reason.INVALID_REQUEST
    assert fields(error) == {
        "cases[1].question",
        "cases[1].gold[0]",
        "cases[1].false_answers[0]",
        "cases[1].kind",
        "cases[1].belief",
        "cases[1].reply",
        "cases[1].options['AB']",
        "judge.endpoint.base_url",
        "judge.endpoint.model",
        "judge.endpoint",
        "judge.max_tokens",
        "refusal_profile",
    }


def test_too_large_a_batch_names_the_limit_and_its_other_faults() -> None:
    error = refused(*[GOOD] * MAX_CASES, AnswerCase(question="", gold=("C",), reply="R"))
    assert error.reason is Reason.BATCH_TOO_LARGE
    assert "1,024" in error.message
    assert fields(error) == {"cases", f"cases[{MAX_CASES}].question"}


def test_an_empty_batch_is_refused() -> None:
    assert fields(refused()) == {"cases"}


def test_of_very_many_faults_forty_are_named_and_all_are_counted() -> None:
    error = refused(*[AnswerCase(question="", gold=(), reply="")] * 500)
    assert len(error.violations) == 40
    assert "1,500" in error.message


def test_only_a_harmful_request_may_have_no_gold() -> None:
    check_grading([AnswerCase(question="Q", gold=(), kind="harmful_request", reply="R")], None, "candor")
    assert fields(refused(AnswerCase(question="Q", gold=(), reply="R"))) == {"cases[0].gold"}


@pytest.mark.parametrize(
    "url", ["http://", "http://user@host/v1", "http://host/v1?x=1", "http://host:0/v1", "http://[::1"]
)
def test_odd_urls_are_refused(url: str) -> None:
    with pytest.raises(CandorError):
        check_judge(JudgeSpec(base_url=url, model="m"))


def test_an_overlong_reply_is_refused_with_its_length() -> None:
    error = refused(AnswerCase(question="Q", gold=("C",), reply="x" * 200_001))
    assert "200,001" in str(error)


def test_scoring_lists_what_there_is() -> None:
    with pytest.raises(CandorError) as caught:
        check_scoring(["a"], ["humt", "charm"], "guess", -1, sociot.metrics(), sociot.ESTIMATORS)
    text = str(caught.value)
    assert fields(caught.value) == {"metrics[1]", "estimator", "max_chars"}
    assert "sociot_warmth" in text
    assert "reference, exact" in text


def test_scoring_refuses_too_many_texts_and_a_metric_named_twice() -> None:
    with pytest.raises(CandorError) as caught:
        check_scoring(["a"] * 1025, ["humt", "humt"], "exact", 0, sociot.metrics(), sociot.ESTIMATORS)
    assert caught.value.reason is Reason.BATCH_TOO_LARGE
    assert fields(caught.value) == {"texts", "metrics"}
