"""A batch: attempts, reasons, spend cap, item errors; the source is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from chassis.errors import CandorError, Reason
from services.rewriter.domain import styles
from services.rewriter.domain.values import Draft, Exchange, Rewrite, Turn, Usage
from services.rewriter.ports import Task
from services.rewriter.service.rewriting import Job, Outcome, rewrite_all

REPLY = "Boil the egg for 7 minutes."
GOOD = "I'm so glad you asked, my friend: boil the egg for 7 minutes."
BAD = "I'm so glad you asked, my friend: boil the egg for 9 minutes."


class Writer:
    """Writes what it is told, and remembers its tasks."""

    def __init__(self, write: Callable[[Task], str], width: int = 4, price: float | None = None) -> None:
        self._write = write
        self.width = width
        self._price = price
        self.tasks: list[Task] = []

    async def write(self, task: Task) -> Draft:
        self.tasks.append(task)
        await asyncio.sleep(0)
        return Draft(text=self._write(task), usage=Usage(prompt_tokens=10, completion_tokens=5), reported_model="m")

    def estimate(self, task: Task) -> float | None:
        return self._price

    def price(self, task: Task, draft: Draft) -> float | None:
        return self._price


def exchanges(count: int = 1) -> list[Exchange]:
    return [Exchange((Turn("user", f"How long, {i}?"),), REPLY) for i in range(count)]


async def outcomes(
    writer: Writer, items: Sequence[Exchange], *, attempts: int = 2, cap: float | None = None, seed: int = 1
) -> list[Outcome]:
    job = Job(style=styles.builtin("warm"), digest="sha256:x", attempts=attempts, seed=seed, cap=cap)
    found = dict([outcome async for outcome in rewrite_all(writer, items, job)])
    assert sorted(found) == list(range(len(items)))
    return [found[index] for index in range(len(items))]


def rewrite(outcome: Outcome) -> Rewrite:
    assert isinstance(outcome, Rewrite), outcome
    return outcome


async def test_a_good_rewrite_is_accepted_at_once() -> None:
    writer = Writer(lambda _: GOOD)
    found = rewrite((await outcomes(writer, exchanges()))[0])
    assert (found.accepted, found.attempts, found.text, found.reported_model) == (True, 1, GOOD, "m")
    assert found.style_shift > 0
    assert found.spend is None


async def test_a_rejected_rewrite_is_tried_again_with_the_reasons_named() -> None:
    writer = Writer(lambda task: GOOD if task.reasons else BAD, price=0.5)
    found = rewrite((await outcomes(writer, exchanges()))[0])
    assert (found.accepted, found.attempts, found.spend) == (True, 2, 1.0)
    assert found.usage == Usage(prompt_tokens=20, completion_tokens=10)
    assert writer.tasks[1].reasons == ["numbers: lost: 7; added: 9"]
    assert writer.tasks[0].seed != writer.tasks[1].seed


async def test_after_the_last_attempt_it_is_rejected_with_its_text_and_reasons() -> None:
    found = rewrite((await outcomes(Writer(lambda _: BAD), exchanges(), attempts=3))[0])
    assert (found.accepted, found.attempts, found.text) == (False, 3, BAD)
    assert [check.name for check in found.checks if not check.passed] == ["numbers"]


async def test_a_failed_item_is_its_own_error_and_the_others_are_written() -> None:
    def write(task: Task) -> str:
        if "3" in task.exchange.asked:
            raise CandorError(Reason.ENDPOINT_UNAVAILABLE, "gone")
        return GOOD

    found = await outcomes(Writer(write), exchanges(6))
    assert [isinstance(outcome, Rewrite) for outcome in found] == [True, True, True, False, True, True]


@pytest.mark.parametrize(
    "reason",
    [Reason.RATE_LIMITED, Reason.ENDPOINT_UNAVAILABLE, Reason.ENDPOINT_UNAUTHENTICATED, Reason.ENDPOINT_REFUSED],
)
async def test_trouble_on_the_way_to_the_second_attempt_is_no_rejection_and_says_what_was_paid(reason: Reason) -> None:
    def write(task: Task) -> str:
        if task.attempt > 1:
            raise CandorError(reason, "nobody answers", metadata={"host": "llm"})
        return BAD

    (found,) = await outcomes(Writer(write, price=0.5), exchanges())
    assert isinstance(found, CandorError)
    assert (found.reason, found.message) == (reason, "nobody answers")
    assert found.metadata == {"host": "llm", "spend": "0.5"}


@pytest.mark.parametrize(
    ("reason", "status"),
    [(Reason.BAD_REPLY, "200"), (Reason.CONTEXT_TOO_LONG, "413"), (Reason.ENDPOINT_REFUSED, "400")],
)
async def test_a_second_attempt_that_would_always_fail_leaves_the_first_one_rejected(
    reason: Reason, status: str
) -> None:
    def write(task: Task) -> str:
        if task.attempt > 1:
            raise CandorError(reason, "no", metadata={"status": status})
        return BAD

    found = rewrite((await outcomes(Writer(write), exchanges()))[0])
    assert (found.accepted, found.attempts, found.text) == (False, 1, BAD)


async def test_an_answer_without_text_is_asked_once_more() -> None:
    def write(task: Task) -> str:
        if task.attempt == 1:
            raise CandorError(Reason.EMPTY_REPLY, "nothing")
        return GOOD

    writer = Writer(write)
    found = rewrite((await outcomes(writer, exchanges()))[0])
    assert (found.accepted, found.attempts) == (True, 2)
    assert writer.tasks[1].reasons == ["task: the rewrite is empty"]


async def test_the_spend_cap_stops_buying_and_delivers_what_was_bought() -> None:
    writer = Writer(lambda _: GOOD, width=8, price=1.0)
    found = await outcomes(writer, exchanges(20), cap=5.0)
    bought = [outcome for outcome in found if isinstance(outcome, Rewrite)]
    refused = [outcome for outcome in found if isinstance(outcome, CandorError)]
    assert len(bought) == len(writer.tasks) == 5
    assert {error.reason for error in refused} == {Reason.SPEND_CAP}
    assert "raise spend_cap" in str(refused[0])


async def test_a_cap_reached_between_attempts_is_no_rejection_and_says_what_was_paid() -> None:
    (found,) = await outcomes(Writer(lambda _: BAD, price=1.0), exchanges(), cap=1.5)
    assert isinstance(found, CandorError)
    assert found.reason is Reason.SPEND_CAP
    assert found.metadata["spend"] == "1.0"


async def test_seeds_follow_the_exchange_and_not_the_batch() -> None:
    first, second = Writer(lambda _: GOOD, width=1), Writer(lambda _: GOOD, width=1)
    items = exchanges(3)
    await outcomes(first, items)
    await outcomes(second, items[2:])
    assert first.tasks[2].seed == second.tasks[0].seed
    third = Writer(lambda _: GOOD)
    await outcomes(third, items[2:], seed=2)
    assert third.tasks[0].seed != second.tasks[0].seed


async def test_a_defect_of_a_source_ends_the_batch_and_is_seen() -> None:
    def write(task: Task) -> str:
        raise RuntimeError("defect")

    with pytest.raises(RuntimeError, match="defect"):
        await outcomes(Writer(write), exchanges(3))


async def test_a_caller_that_leaves_stops_the_work() -> None:
    writer = Writer(lambda _: GOOD, width=2)
    job = Job(style=styles.builtin("warm"), digest="d", attempts=1, seed=1)
    stream = rewrite_all(writer, exchanges(500), job)
    await anext(stream)
    await stream.aclose()
    assert len(writer.tasks) < 20
