"""What the same command does the second time, and what is refused before anything is asked."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.service import queries
from services.orchestrator.service.plan import plan

Document = Callable[..., evaluation_pb2.EvaluationSpec]


async def _refused(work: Any) -> CandorError:
    with pytest.raises(CandorError) as caught:
        await work
    return caught.value


async def test_everything_wrong_with_a_document_is_said_at_once(suite: Any, document: Document) -> None:
    spec = document(repeats=0, gate=evaluation_pb2.Gate(alpha=0.9, margin_pp=-1))
    spec.arms["v2"].endpoint.base_url = "ftp://nowhere"
    error = await _refused(suite.create(spec, limit=-3))
    assert error.reason is Reason.BAD_DOCUMENT
    fields = {violation.field for violation in error.violations}
    assert fields == {"repeats", "gate.alpha", "gate.margin_pp", "arms.v2.endpoint.base_url", "limit"}
    assert not suite.world.ledger.evaluations(10)


async def test_a_subject_without_a_target_is_refused_before_the_run(suite: Any, document: Document) -> None:
    suite.inference.targets = False
    error = await _refused(suite.create(document()))
    assert error.reason is Reason.NO_TARGET


async def test_a_document_that_cannot_conclude_is_refused_unless_allowed(
    suite: Any, document: Document, items: Callable[..., Any]
) -> None:
    suite.set_items(items(3))
    error = await _refused(suite.create(document(), allow_underpowered=False))
    assert error.reason is Reason.UNDERPOWERED
    assert "--underpowered" in error.message
    assert not suite.inference.calls
    quick = await suite.create(document(), allow_underpowered=False, limit=2)
    assert quick.state in ("PENDING", "RUNNING")
    await suite.runs.crash()


async def test_a_gate_that_the_document_names_needs_its_cells(suite: Any, document: Document) -> None:
    spec = document(
        conditions=evaluation_pb2.Conditions(contexts=["none"]), gate=evaluation_pb2.Gate(margins_pp={"context": 2})
    )
    error = await _refused(suite.create(spec))
    assert error.reason is Reason.BAD_DOCUMENT
    assert [violation.field for violation in error.violations] == ["gate.context"]


async def test_two_requests_with_one_id_are_one_evaluation(suite: Any, document: Document) -> None:
    first, second = await asyncio.gather(
        suite.create(document(), request_id="ci-17"), suite.create(document(), request_id="ci-17")
    )
    assert first.id == second.id
    await suite.runs.finish(first.id)
    third = await suite.create(document(), request_id="ci-17")
    assert (third.id, third.state) == (first.id, "SUCCEEDED")
    other = document(repeats=2)
    error = await _refused(suite.create(other, request_id="ci-17"))
    assert error.violations[0].field == "request_id"


async def test_a_request_that_joined_a_run_finds_its_verdict_and_pays_nothing_again(
    suite: Any, document: Document
) -> None:
    first = await suite.create(document(), request_id="one-pod")
    joined = await suite.create(document(), request_id="another-pod")
    assert joined.id == first.id
    await suite.runs.finish(first.id)
    asked = suite.inference.asked()
    again = await suite.create(document(), request_id="another-pod")
    assert (again.id, again.state) == (first.id, "SUCCEEDED")
    assert suite.inference.asked() == asked
    fresh = await suite.create(document(), request_id="a-third", resume="new")
    assert fresh.id != first.id
    await suite.runs.crash()


async def test_two_commands_of_one_document_at_once_are_one_run(suite: Any, document: Document) -> None:
    first, second = await asyncio.gather(suite.create(document()), suite.create(document()))
    assert first.id == second.id
    await suite.runs.finish(first.id)
    assert max(suite.inference.asked().values()) == 1


async def test_new_starts_anew_although_the_last_run_is_unfinished(suite: Any, document: Document) -> None:
    suite.inference.stop_after = 20
    first = await suite.evaluate(document())
    suite.inference.stop_after = None
    second = await suite.evaluate(document(), resume="new")
    assert second.id != first.id
    assert max(suite.inference.asked().values()) == 2


async def test_resume_by_name_needs_the_same_document(suite: Any, document: Document) -> None:
    suite.inference.stop_after = 20
    first = await suite.evaluate(document())
    suite.inference.stop_after = None
    error = await _refused(suite.create(document(repeats=3), resume_id=first.id))
    assert error.reason is Reason.DOCUMENT_CHANGED
    error = await _refused(suite.create(document(), resume_id="e404"))
    assert error.reason is Reason.EVALUATION_NOT_FOUND
    again = await suite.evaluate(document(), resume_id=first.id)
    assert (again.id, again.state) == (first.id, "SUCCEEDED")
    done = await suite.evaluate(document(), resume_id=first.id)
    assert done.verdict_json == again.verdict_json


async def test_an_unfinished_run_goes_on_under_the_gate_given_now(suite: Any, document: Document) -> None:
    suite.inference.stop_after = 20
    first = await suite.evaluate(document())
    suite.inference.stop_after = None
    again = await suite.evaluate(document(gate=evaluation_pb2.Gate(margin_pp=7)))
    assert again.id == first.id
    assert suite.report.gates[0].margin_pp == 7
    assert max(suite.inference.asked().values()) == 1


async def test_a_running_evaluation_keeps_its_gate(suite: Any, document: Document) -> None:
    suite.inference.hold = asyncio.Event()
    row = await suite.create(document())
    error = await _refused(suite.create(document(gate=evaluation_pb2.Gate(margin_pp=7))))
    assert error.reason is Reason.EVALUATION_RUNNING
    same = await suite.create(document())
    assert same.id == row.id
    suite.inference.hold.set()
    await suite.runs.finish(row.id)


async def test_cancel_stops_asking_and_the_same_document_goes_on(suite: Any, document: Document) -> None:
    row = await suite.create(document())
    await suite.inference.reached(20)
    cancelled = await queries.cancel(suite.world, suite.runs, row.id)
    assert cancelled.state == "CANCELLED"
    asked = len(suite.inference.calls)
    await asyncio.sleep(0)
    assert len(suite.inference.calls) == asked
    assert (await queries.cancel(suite.world, suite.runs, row.id)).state == "CANCELLED"
    again = await suite.evaluate(document())
    assert (again.id, again.state) == (row.id, "SUCCEEDED")
    assert sum(count > 1 for count in suite.inference.asked().values()) <= 2, "one call of each arm was under way"


async def test_an_event_that_is_late_does_not_reopen_a_cancelled_evaluation(suite: Any, document: Document) -> None:
    append, late, landed = suite.ledger.append_event, threading.Event(), threading.Event()

    def slowly(evaluation_id: str, state: str, message: str, *args: Any, **changes: Any) -> int:
        told_in_the_background = state == "RUNNING" and not message and bool(suite.inference.calls)
        if told_in_the_background:
            late.wait(60)
        sequence: int = append(evaluation_id, state, message, *args, **changes)
        if told_in_the_background:
            landed.set()
        return sequence

    suite.ledger.append_event = slowly
    row = await suite.create(document())
    await suite.inference.reached(20)
    cancelling = asyncio.create_task(queries.cancel(suite.world, suite.runs, row.id))
    await asyncio.wait({cancelling}, timeout=0.5)
    late.set()
    assert (await cancelling).state == "CANCELLED"
    await asyncio.to_thread(landed.wait, 60)
    assert suite.ledger.evaluation(row.id).state == "CANCELLED"
    assert suite.ledger.events(row.id, 0)[-1].state == "CANCELLED"


async def test_delete_removes_what_only_this_evaluation_owns(suite: Any, document: Document) -> None:
    spec = document(gate=evaluation_pb2.Gate(stopping="fixed"))
    spec.arms["v1"].revision = "r1"
    first = await suite.evaluate(spec)
    second = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed", margin_pp=9)))
    ledger = suite.world.ledger
    spec.gate.margin_pp = 9
    third = await suite.evaluate(spec)
    assert third.lineage == first.id
    await queries.delete(suite.world, suite.runs, first.id)
    own = list(ledger.outcomes(f"{first.id}/v2", suite.grader.digest))
    assert own, "another evaluation still takes these replies"
    await queries.delete(suite.world, suite.runs, third.id)
    assert not list(ledger.outcomes(f"{first.id}/v2", suite.grader.digest))
    assert list(ledger.outcomes(f"{second.id}/v2", suite.grader.digest))
    shared = third.pinned["arms"]["v1"]["digest"]
    assert list(ledger.outcomes(shared, suite.grader.digest)), "a declared revision belongs to everybody"
    assert suite.artifacts.names(first.id) == []


async def test_a_running_evaluation_is_not_deleted(suite: Any, document: Document) -> None:
    suite.inference.hold = asyncio.Event()
    row = await suite.create(document())
    error = await _refused(queries.delete(suite.world, suite.runs, row.id))
    assert error.reason is Reason.EVALUATION_RUNNING
    suite.inference.hold.set()
    await suite.runs.finish(row.id)


async def test_replies_of_an_endpoint_are_taken_from_an_earlier_run_only_within_max_age(
    suite: Any, document: Document
) -> None:
    now = {"time": 1_000_000.0}
    object.__setattr__(suite.world, "clock", lambda: now["time"])
    spec = document(gate=evaluation_pb2.Gate(stopping="fixed"))
    await suite.evaluate(spec)
    asked = suite.inference.asked()
    spec.arms["v1"].reuse.max_age = "7d"
    now["time"] += 3 * 86_400
    row = await suite.evaluate(spec)
    assert row.state == "SUCCEEDED"
    assert {arm for arm, _ in suite.inference.asked() - asked} == {"v2"}
    assert suite.report.arms[0].reused == 300
    assert "3.0 days old" in " ".join(suite.report.arms[0].notes)
    asked = suite.inference.asked()
    now["time"] += 8 * 86_400
    await suite.evaluate(spec)
    assert {arm for arm, _ in suite.inference.asked() - asked} == {"v1", "v2"}
    assert suite.report.arms[0].reused == 0


async def test_a_plan_says_what_a_run_would_find(suite: Any, document: Document) -> None:
    async def reusable(**changes: Any) -> int:
        order = suite.order(document(**changes))
        found = await plan(suite.world, order.spec, order.data, 0, pilot=False)
        return int(found.reusable)

    assert await reusable() == 0
    suite.inference.stop_after = 25
    await suite.evaluate(document())
    assert await reusable() == 25
    suite.inference.stop_after = None
    await suite.evaluate(document())
    assert await reusable() == 0, "the same document once more is a new run"
    assert await reusable(gate=evaluation_pb2.Gate(margin_pp=9)) == len(suite.inference.calls)


async def test_a_pilot_before_a_changed_gate_costs_nothing_and_changes_no_lineage(
    suite: Any, document: Document
) -> None:
    old, new = (document(gate=evaluation_pb2.Gate(stopping="fixed", margin_pp=margin)) for margin in (2, 50))
    first = await suite.evaluate(old)
    asked = len(suite.inference.calls)
    order = suite.order(new)
    await plan(suite.world, order.spec, order.data, 0, pilot=True)
    second = await suite.evaluate(new)
    assert (second.state, second.lineage) == ("SUCCEEDED", first.id)
    assert len(suite.inference.calls) == asked


@pytest.mark.parametrize("piloted", [2, 50], ids=["the same gate", "another gate"])
@pytest.mark.parametrize("run", [2, 50], ids=["the same gate", "another gate"])
async def test_a_pilot_does_not_decide_whose_replies_the_run_takes(
    suite: Any, document: Document, piloted: int, run: int
) -> None:
    def gate(margin: int) -> evaluation_pb2.EvaluationSpec:
        return document(gate=evaluation_pb2.Gate(stopping="fixed", margin_pp=margin))

    first = await suite.evaluate(gate(2))
    asked = suite.inference.asked()
    order = suite.order(gate(piloted))
    await plan(suite.world, order.spec, order.data, 0, pilot=True)
    second = await suite.evaluate(gate(run))
    assert second.state == "SUCCEEDED"
    assert (second.lineage == first.id) == (run == 50), "the same document once more is a new run"
    again = suite.inference.asked() - asked
    assert again.total() == (asked.total() if run == 2 else 20 if piloted == 2 else 0)


async def test_a_plan_prices_the_judge(suite: Any, document: Document) -> None:
    spec = document(planning=evaluation_pb2.Planning(judge_share=0.5))
    for arm in spec.arms.values():
        arm.prices.completion_per_million = 10
    order = suite.order(spec)
    before = (await plan(suite.world, order.spec, order.data, 0, pilot=False)).cost
    assert before.cost == pytest.approx(600 * 300 * 10 / 1e6)
    spec.grading.judge.endpoint.base_url = "http://judge.test/v1"
    spec.grading.judge.endpoint.model = "judge"
    spec.grading.judge.prices.completion_per_million = 20
    order = suite.order(spec)
    after = (await plan(suite.world, order.spec, order.data, 0, pilot=False)).cost
    assert after.cost == pytest.approx(600 * 300 * 10 / 1e6 + 300 * 300 * 20 / 1e6)
    assert after.calls == before.calls == 600


async def test_a_task_asks_as_many_items_as_the_document_says(suite: Any, document: Document) -> None:
    message = document()
    whole = await plan(suite.world, *_order(suite, message), 0, pilot=False)
    del message.tasks[:]
    message.tasks.add(name="core", items=5)
    part = await plan(suite.world, *_order(suite, message), 0, pilot=False)
    assert (part.items, part.tasks[0].asked) == (5, 5)
    assert part.tasks[0].notes[-1] == f"5 of its {whole.items} items, drawn with seed 1"


def _order(suite: Any, message: evaluation_pb2.EvaluationSpec) -> tuple[Any, Any]:
    order = suite.order(message)
    return order.spec, order.data
