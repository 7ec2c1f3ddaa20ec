"""A model may propose the false answers of a task."""

from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.spec import Endpoint, TaskRef
from services.orchestrator.service.false_answers import cleaned, with_false_answers

CITIES = {"France": "Paris", "Norway": "Oslo", "Peru": "Lima"}
TASK = Task(
    name="cities",
    items=tuple(
        Item(task="cities", id=land, question=f"Capital of {land}?", gold=(city,), false_answers=("Bern",))
        for land, city in CITIES.items()
    ),
    digest="sha256:cities",
)
REF = TaskRef(name="cities", false_answers=Endpoint(base_url="http://helper/v1", model="helper"))
PROPOSALS = {"France": '"Lyon."', "Norway": "Oslo", "Peru": CandorError(Reason.ENDPOINT_TIMEOUT, "too slow")}


def propose(_arm: str, text: str) -> Any:
    return next(value for land, value in PROPOSALS.items() if land in text)


async def test_proposals_replace_what_fits_and_the_model_is_asked_once(suite: Any) -> None:
    suite.inference.answer = propose
    task = await with_false_answers(suite.world, REF, TASK, ask=True)
    # Lyon fits; Oslo is the right answer; the call about Peru failed.
    assert [item.false_answers for item in task.items] == [("Lyon",), ("Bern",), ("Bern",)]
    assert task.digest != TASK.digest
    assert any("1 false answers are from the model helper" in note for note in task.notes)
    asked = len(suite.inference.calls)
    again = await with_false_answers(suite.world, REF, TASK, ask=True)
    assert again == task
    assert len(suite.inference.calls) == asked


async def test_a_plan_asks_no_model(suite: Any) -> None:
    suite.inference.answer = propose
    assert await with_false_answers(suite.world, REF, TASK, ask=False) == TASK
    assert await with_false_answers(suite.world, TaskRef(name="cities"), TASK, ask=True) == TASK
    assert suite.inference.calls == []


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Lyon", "Lyon"),
        ("“Lyon.”\nBecause it is large.", "Lyon"),
        ("Wrong answer: **Lyon**", "Lyon"),
        ("", ""),
        ("I am sorry, but " + "I would rather not say this at all " * 4, ""),
    ],
)
def test_a_proposal_is_taken_bare(reply: str, value: str) -> None:
    assert cleaned(reply) == value
