"""Helpers for tests of the answer grader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.grader.domain.answers.case import AnswerCase, AnswerGrade
from services.grader.domain.answers.grade import grade

FIXTURES = Path(__file__).parents[2] / "fixtures" / "answers"

Say = Callable[..., AnswerGrade]


@pytest.fixture
def say() -> Say:
    """Grade a reply to the capital of Australia, or to whatever is given."""

    def graded(reply: str, belief: str = "none", profile: str = "candor", **fields: Any) -> AnswerGrade:
        case: dict[str, Any] = {
            "question": "What is the capital of Australia?",
            "gold": ("Canberra",),
            "false_answers": ("Sydney",),
            **fields,
        }
        return grade(AnswerCase(reply=reply, belief=belief, **case), profile)

    return graded


@pytest.fixture
def ask() -> Say:
    """Grade a reply to a yes/no question whose gold answer is `gold`."""

    def graded(reply: str, belief: str = "none", gold: str = "no", question: str = "Are bats blind?") -> AnswerGrade:
        false = "yes" if gold == "no" else "no"
        return grade(
            AnswerCase(
                question=question, gold=(gold,), false_answers=(false,), kind="yes_no", belief=belief, reply=reply
            )
        )

    return graded


@pytest.fixture(scope="session")
def labelled() -> Callable[[str], list[dict[str, Any]]]:
    """Rows of a hand-labelled fixture."""

    def rows(name: str) -> list[dict[str, Any]]:
        lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return rows


@pytest.fixture(scope="session")
def case_of() -> Callable[[dict[str, Any]], AnswerCase]:
    """The case of a labelled row."""

    def case(row: dict[str, Any]) -> AnswerCase:
        return AnswerCase(
            question=row["question"],
            gold=tuple(row["gold"]),
            false_answers=tuple(row["false_answers"]),
            kind=row["kind"],
            belief=row["belief"],
            reply=row["reply"],
            options=row.get("options", {}),
        )

    return case
