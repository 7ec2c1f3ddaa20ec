"""A model may propose the false answers of a task."""

from collections.abc import Callable
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
BUSY = CandorError(Reason.RATE_LIMITED, "it limits the rate")
REFUSED = CandorError(Reason.ENDPOINT_REFUSED, "it refuses this prompt")


def proposing(**answers: Any) -> Callable[[str, str], Any]:
    """A model that says these things of the countries."""
    return lambda _arm, text: next(value for land, value in answers.items() if land in text)


def asked(suite: Any) -> list[str]:
    """The countries it was asked about, in order."""
    return [land for _, text, _ in suite.inference.calls for land in CITIES if land in text]


def false_answers(task: Task) -> list[str]:
    return [item.false_answers[0] for item in task.items]


async def test_proposals_replace_what_fits_and_the_model_is_asked_once(suite: Any) -> None:
    suite.inference.answer = proposing(France='"Lyon."', Norway="Oslo", Peru="Cusco")
    task = await with_false_answers(suite.world, REF, TASK, ask=True)
    assert false_answers(task) == ["Lyon", "Bern", "Cusco"], "Oslo is the right answer"
    assert task.digest != TASK.digest
    assert any("2 false answers are from the model helper" in note for note in task.notes)
    again = await with_false_answers(suite.world, REF, TASK, ask=True)
    assert again == task
    assert again == await with_false_answers(suite.world, REF, TASK, ask=False)
    assert len(asked(suite)) == 3


async def test_a_model_that_is_busy_stops_the_run_and_is_asked_again_for_what_is_missing(suite: Any) -> None:
    suite.inference.answer = proposing(France="Lyon", Norway="Bergen", Peru=BUSY)
    with pytest.raises(CandorError, match="false answers of cities: 1 of 3 calls failed: it limits the rate") as caught:
        await with_false_answers(suite.world, REF, TASK, ask=True)
    assert caught.value.retryable
    suite.inference.answer = proposing(Peru="Cusco")
    task = await with_false_answers(suite.world, REF, TASK, ask=True)
    assert false_answers(task) == ["Lyon", "Bergen", "Cusco"]
    assert asked(suite) == ["France", "Norway", "Peru", "Peru"]


async def test_a_call_that_fails_in_the_next_run_too_blocks_nothing(suite: Any) -> None:
    suite.inference.answer = proposing(France="Lyon", Norway="Bergen", Peru=BUSY)
    with pytest.raises(CandorError):
        await with_false_answers(suite.world, REF, TASK, ask=True)
    task = await with_false_answers(suite.world, REF, TASK, ask=True)
    assert false_answers(task) == ["Lyon", "Bergen", "Bern"], "the item keeps its own"
    suite.inference.answer = proposing(Peru="Cusco")
    task = await with_false_answers(suite.world, REF, TASK, ask=True)
    assert false_answers(task) == ["Lyon", "Bergen", "Cusco"], "it is not missing for ever"


async def test_a_prompt_that_is_refused_stops_nothing(suite: Any) -> None:
    suite.inference.answer = proposing(France="Lyon", Norway=REFUSED, Peru="Cusco")
    task = await with_false_answers(suite.world, REF, TASK, ask=True)
    assert false_answers(task) == ["Lyon", "Bern", "Cusco"]


async def test_what_was_proposed_before_the_process_died_is_not_paid_twice(suite: Any) -> None:
    suite.inference.answer = proposing(France="Lyon", Norway="Bergen", Peru="Cusco")
    suite.inference.stop_after = 2
    with pytest.raises(CandorError, match="nobody answers"):
        await with_false_answers(suite.world, REF, TASK, ask=True)
    suite.inference.stop_after = None
    await with_false_answers(suite.world, REF, TASK, ask=True)
    assert asked(suite) == ["France", "Norway", "Peru"]


async def test_another_name_of_the_key_is_the_same_model(suite: Any) -> None:
    suite.inference.answer = proposing(France="Lyon", Norway="Bergen", Peru="Cusco")
    task = await with_false_answers(suite.world, REF, TASK, ask=True)
    for names in ({"api_key_env": "OTHER"}, {"credential": "helper"}):
        endpoint = Endpoint(base_url="http://helper/v1", model="helper", **names)
        ref = TaskRef(name="cities", false_answers=endpoint)
        assert await with_false_answers(suite.world, ref, TASK, ask=True) == task
    assert len(asked(suite)) == 3
    elsewhere = TaskRef(name="cities", false_answers=Endpoint(base_url="http://other/v1", model="helper"))
    await with_false_answers(suite.world, elsewhere, TASK, ask=True)
    assert len(asked(suite)) == 6


async def test_a_plan_asks_no_model(suite: Any) -> None:
    suite.inference.answer = proposing(France="Lyon", Norway="Bergen", Peru="Cusco")
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
