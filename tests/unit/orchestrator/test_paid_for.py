"""What was paid for is stored, however a run ends: no call is made twice because of how the first run stopped."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.ports import Case, Grade, Reply
from services.orchestrator.service.calibrate import HumanLabel, measure
from services.orchestrator.service.plan import plan

Document = Callable[..., evaluation_pb2.EvaluationSpec]
_FIXED = evaluation_pb2.Gate(stopping="fixed")


class Slow:
    """Models of which every call of a batch is under way at once; the answers come once `let_go` is set.

    Attributes:
        calls: Every call begun, by arm and prompt.
        busy: Set once `most` calls are under way.
    """

    def __init__(self, suite: Any, *, first_at_once: bool = False, most: int = 0) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.let_go = asyncio.Event()
        self.busy = asyncio.Event()
        self._suite = suite
        self._first_at_once = first_at_once
        self._most = most

    async def generate(self, arm: Any, sampling: Any, digest: str, prompts: Sequence[Any]) -> Any:
        texts = [prompt.messages[-1][1] for prompt in prompts]
        self.calls.update((arm.name, text) for text in texts)
        if self.calls.total() >= self._most:
            self.busy.set()
        for index, text in enumerate(texts):
            if index or not self._first_at_once:
                await self.let_go.wait()
            yield index, Reply(text=self._suite.inference.answer(arm.name, text), finish_reason="stop")


def _limits(suite: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(suite.world.limits, name, value)


def _stored(suite: Any, evaluation_id: str) -> int:
    found = [
        reason
        for arm in ("v1", "v2")
        for part in suite.ledger.outcomes(f"{evaluation_id}/{arm}", suite.grader.digest)
        for reason in part.error_reason
    ]
    return found.count("")


async def _goes_on(suite: Any, document: evaluation_pb2.EvaluationSpec, slow: Slow) -> Any:
    suite.grader.__dict__.pop("grade", None)
    slow.let_go.set()
    row = await suite.evaluate(document)
    assert row.state == "SUCCEEDED"
    return row


async def test_a_grader_that_goes_away_costs_no_reply_that_is_under_way(suite: Any, document: Document) -> None:
    slow = Slow(suite, first_at_once=True)
    suite.inference.generate = slow.generate

    async def gone(*_: Any, **__: Any) -> AsyncIterator[tuple[int, Grade]]:
        slow.let_go.set()
        raise CandorError(Reason.SERVICE_UNAVAILABLE, "grader: connection refused")
        yield

    suite.grader.grade = gone
    row = await suite.evaluate(document(gate=_FIXED))
    assert (row.state, row.failure_reason) == ("FAILED", "SERVICE_UNAVAILABLE")
    begun = slow.calls.total()
    assert begun > 100
    assert _stored(suite, row.id) == begun
    await _goes_on(suite, document(gate=_FIXED), slow)
    assert max(slow.calls.values()) == 1


async def test_an_arm_that_falls_silent_costs_no_reply_of_its_own_that_is_still_to_come(
    suite: Any, document: Document
) -> None:
    slow = Slow(suite)
    slow.let_go.set()
    timeout = CandorError(Reason.ENDPOINT_TIMEOUT, "no reply within 120 s")
    honest = suite.inference.answer
    seen: list[str] = []

    async def generate(arm: Any, sampling: Any, digest: str, prompts: Sequence[Any]) -> Any:
        async for index, reply in slow.generate(arm, sampling, digest, prompts):
            seen.append(arm.name)
            yield index, timeout if arm.name == "v2" and seen.count("v2") <= 32 else reply

    suite.inference.answer = honest
    suite.inference.generate = generate
    row = await suite.evaluate(document(gate=_FIXED))
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_TIMEOUT")
    assert _stored(suite, row.id) == slow.calls.total() - 32


async def test_a_run_that_is_stopped_takes_in_what_is_under_way(suite: Any, document: Document) -> None:
    slow = Slow(suite, most=256)
    suite.inference.generate = slow.generate
    row = await suite.create(document(gate=_FIXED))
    await slow.busy.wait()
    stopping = asyncio.create_task(suite.runs.cancel(row.id))
    for _ in range(50):
        await asyncio.sleep(0)  # the run hears of it
    slow.let_go.set()
    await stopping
    assert _stored(suite, row.id) == slow.calls.total()
    await _goes_on(suite, document(gate=_FIXED), slow)
    assert max(slow.calls.values()) == 1


async def test_a_run_that_is_stopped_does_not_wait_for_calls_that_hang(suite: Any, document: Document) -> None:
    _limits(suite, settle_seconds=0.01)
    slow = Slow(suite, most=64)
    suite.inference.generate = slow.generate
    row = await suite.create(document(gate=_FIXED))
    await slow.busy.wait()
    async with asyncio.timeout(10):
        await suite.runs.cancel(row.id)
    assert len([task for task in asyncio.all_tasks() if not task.done()]) == 1


async def test_a_run_that_is_told_twice_to_stop_stops_at_once(suite: Any, document: Document) -> None:
    _limits(suite, settle_seconds=math.inf)
    slow = Slow(suite, most=64)
    suite.inference.generate = slow.generate
    row = await suite.create(document(gate=_FIXED))
    await slow.busy.wait()
    task = suite.runs.tasks[row.id]
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait({task})
    assert task.cancelled()


async def test_a_run_that_is_stopped_keeps_the_grades_that_came_and_cuts_a_judge_that_hangs(
    suite: Any, document: Document
) -> None:
    _limits(suite, settle_seconds=0.01)
    ordinary, hangs = suite.grader.grade, asyncio.Event()

    async def grade(cases: Sequence[Any], *args: Any, **options: Any) -> Any:
        async for index, found in ordinary(cases, *args, **options):
            if index == 20:
                hangs.set()
                await asyncio.Event().wait()
            yield index, found

    suite.grader.grade = grade
    row = await suite.create(document(gate=_FIXED))
    await hangs.wait()
    async with asyncio.timeout(10):
        await suite.runs.cancel(row.id)
    graded = suite.grader.graded
    suite.grader.grade = ordinary
    row = await suite.evaluate(document(gate=_FIXED))
    assert row.state == "SUCCEEDED"
    assert graded >= 20
    # Of each of the four requests one grade was on its way from the grader.
    assert suite.grader.graded <= 600 + 4


async def test_a_ledger_that_is_away_for_a_moment_costs_no_reply(suite: Any, document: Document) -> None:
    slow = Slow(suite, first_at_once=True)
    suite.inference.generate = slow.generate
    put, troubles = suite.ledger.put_responses, [CandorError(Reason.LEDGER_LOCKED, "the database is locked")]

    def sometimes(rows: Any) -> None:
        slow.let_go.set()
        if troubles:
            raise troubles.pop()
        put(rows)

    suite.ledger.put_responses = sometimes
    row = await suite.evaluate(document(gate=_FIXED))
    assert (row.state, row.failure_reason) == ("FAILED", "LEDGER_LOCKED")
    assert _stored(suite, row.id) == slow.calls.total()
    await _goes_on(suite, document(gate=_FIXED), slow)
    assert max(slow.calls.values()) == 1


async def test_a_calibration_that_breaks_off_asks_the_judge_only_for_the_rest(suite: Any, document: Document) -> None:
    spec = document()
    spec.grading.judge.endpoint.base_url = "http://judge.test/v1"
    spec.grading.judge.endpoint.model = "judge"
    judge = suite.order(spec).spec.judge
    suite.grader.judge_model = "judge-1"
    ordinary, asked = suite.grader.grade, Counter[str]()
    away = {"on": True}

    async def grade(cases: Sequence[Any], judge: Any, profile: str, **options: Any) -> Any:
        async for index, found in ordinary(cases, judge, profile, **options):
            asked[cases[index].question] += judge is not None
            limited = away["on"] and judge is not None and index == 100
            yield index, CandorError(Reason.RATE_LIMITED, "the judge limits the rate") if limited else found

    suite.grader.grade = grade
    answers = [
        HumanLabel(_case(number), "correct" if number % 2 else "incorrect", f"v{number % 2 + 1}")
        for number in range(400)
    ]
    with pytest.raises(CandorError, match="limits the rate"):
        await measure(suite.world, judge, answers)
    assert asked.total() == 256, "what the judge was asked together with the one that failed is kept"
    away["on"] = False
    await measure(suite.world, judge, answers)
    assert asked.total() == 401


def _case(number: int) -> Case:
    reply = f"It is {'gold' if number % 2 else 'wrong'}."
    return Case(
        question=f"What is {number}?",
        gold=("gold",),
        false_answers=("wrong",),
        kind="short_answer",
        belief="none",
        reply=reply,
    )


async def test_a_pilot_that_breaks_off_keeps_its_replies(suite: Any, document: Document) -> None:
    suite.inference.stop_after = 7
    order = suite.order(document())
    with pytest.raises(CandorError, match="nobody answers"):
        await plan(suite.world, order.spec, order.data, 0, pilot=True)
    suite.inference.stop_after = None
    await plan(suite.world, order.spec, order.data, 0, pilot=True)
    assert len(suite.inference.calls) == 20
