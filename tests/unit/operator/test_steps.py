import asyncio
from datetime import timedelta
from typing import Any

import pytest

from candor_operator.cluster import NotWritten
from candor_operator.domain.calls import Cancel, Create, Find, Look
from candor_operator.domain.status import size
from candor_operator.reconciler import Unstopped
from chassis.errors import CandorError, FieldViolation, Reason

from .conftest import Crashed

AWAY = CandorError(Reason.SERVICE_UNAVAILABLE, "orchestrator: nobody listens")


async def test_the_request_id_is_written_before_the_call_that_it_is_for(world: Any) -> None:
    await world.step()
    assert world.status.request_id == "uid1-1"
    assert world.orchestrator.calls == []
    await world.step()
    assert world.orchestrator.calls == [Create("uid1-1")]
    assert world.status.evaluation == "evaluations/e1"
    assert world.condition("Accepted") == ("True", "Created")
    assert [each.reason for each in world.told] == ["Created"]


async def test_a_verdict_ends_the_calls(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude("FAIL", "v2 is worse")
    await world.step(5)
    assert world.orchestrator.calls == [Create("uid1-1"), Look("evaluations/e1")]
    assert world.condition("Verdict") == ("True", "FAIL")
    assert world.status.conditions["Verdict"].message == "v2 is worse"
    assert (world.told[-1].kind, world.told[-1].message) == ("Warning", "FAIL: v2 is worse")
    assert [(each.verdict, each.generation) for each in world.status.history] == [("FAIL", 1)]


async def test_a_bad_document_is_refused_by_name_and_not_tried_again_before_it_changes(world: Any) -> None:
    violation = FieldViolation("arms.v2.endpoint.base_url", "is no URL")
    world.orchestrator.trouble = CandorError(Reason.BAD_DOCUMENT, "1 field to mend", violations=(violation,))
    await world.step(10)
    assert world.orchestrator.calls == [Create("uid1-1")]
    assert world.condition("Accepted") == ("False", "BAD_DOCUMENT")
    assert "arms.v2.endpoint.base_url: is no URL" in world.status.conditions["Accepted"].message
    assert [(each.kind, each.reason) for each in world.told] == [("Warning", "BAD_DOCUMENT")]
    world.orchestrator.trouble = None
    world.change(name="mended")
    await world.step(2)
    assert world.started == ["uid1-2"]
    assert world.condition("Accepted") == ("True", "Created")


async def test_an_unknown_field_is_refused_without_asking_anybody(world: Any) -> None:
    world.create(gaet={"alpha": 0.1})
    await world.step(3)
    assert world.orchestrator.calls == []
    assert world.condition("Accepted") == ("False", "BAD_DOCUMENT")
    assert "gaet" in world.status.conditions["Accepted"].message


async def test_an_orchestrator_that_is_away_is_asked_again_less_and_less_often(world: Any) -> None:
    world.orchestrator.trouble = AWAY
    await world.step(120)  # ten minutes
    assert 5 < len(world.orchestrator.calls) < 12
    assert world.condition("Accepted") == ("Unknown", "SERVICE_UNAVAILABLE")
    assert [each.reason for each in world.told] == ["SERVICE_UNAVAILABLE"]
    world.orchestrator.trouble = None
    await world.step(61)
    assert world.started == ["uid1-1"]
    assert world.condition("Accepted") == ("True", "Created")


async def test_while_the_orchestrator_is_away_nobody_knows_whether_it_runs(world: Any) -> None:
    await world.step(2)
    world.orchestrator.trouble = AWAY
    await world.step(2)
    assert world.condition("Running") == ("Unknown", "SERVICE_UNAVAILABLE")
    world.orchestrator.trouble = None
    await world.step(5)
    assert world.condition("Running") == ("True", "Running")


async def test_a_changed_document_is_a_new_run_and_its_old_verdict_stays_listed(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    world.change(repeats=2)
    await world.step()
    assert world.condition("Verdict")[0] == "False"
    assert world.status.verdict == ""
    await world.step()
    assert world.orchestrator.calls[-1] == Create("uid1-2", reuse=True)
    world.orchestrator.conclude("FAIL")
    await world.step()
    assert [(each.verdict, each.generation) for each in world.status.history] == [("FAIL", 2), ("PASS", 1)]


async def test_a_history_that_is_not_listed_costs_nothing(world: Any) -> None:
    world.create(history_limit=0)
    await world.step(2)
    assert world.orchestrator.calls[-1] == Create("uid2-1", reuse=False)
    world.orchestrator.conclude()
    await world.step()
    assert world.status.history == ()
    world.change(history_limit=0, gate={"alpha": 0.1})
    await world.step(2)
    assert world.orchestrator.calls[-1] == Create("uid2-2", reuse=True)


async def test_a_lower_limit_shortens_the_history_at_once(world: Any) -> None:
    for repeats in (1, 2, 3):
        world.change(repeats=repeats)
        await world.step(3)
        world.orchestrator.conclude()
        await world.step()
    assert len(world.status.history) == 3
    newest = world.status.history[0]
    world.change(repeats=3, history_limit=1)
    await world.step()
    assert list(world.status.history) == [newest]


async def test_a_document_that_is_changed_back_while_its_run_is_cancelled_runs_again(world: Any) -> None:
    await world.step(3)
    world.change(repeats=3)
    await world.step()
    assert world.status.phase == "Stopping"
    world.orchestrator.meanwhile = world.change  # so that the status after the call cannot be written
    with pytest.raises(NotWritten):
        await world.step()
    assert world.orchestrator.by_request("uid1-1").state == "CANCELLED"
    world.restart()
    await world.step(4)
    assert (world.status.phase, world.status.request_id) == ("Running", "uid1-3")


async def test_what_never_had_a_verdict_takes_nothing_over_from_others(world: Any) -> None:
    world.create(suspend=True)
    await world.step()
    world.change()
    await world.step(2)
    assert world.orchestrator.calls == [Create("uid2-2", reuse=False)]


async def test_a_changed_document_stops_what_runs(world: Any) -> None:
    await world.step(2)
    world.change(repeats=2)
    await world.step(4)
    assert [each.state for each in world.orchestrator.evaluations.values()] == ["CANCELLED", "PENDING"]
    assert world.started == ["uid1-1", "uid1-2"]
    assert "evaluations/e1 was cancelled" in world.told[1].message


async def test_a_change_while_the_orchestrator_is_being_asked_finds_and_stops_what_was_started(world: Any) -> None:
    await world.step()
    world.orchestrator.meanwhile = lambda: world.change(repeats=2)
    with pytest.raises(NotWritten):
        await world.step()
    await world.step(10)
    assert [each.state for each in world.orchestrator.evaluations.values()] == ["CANCELLED", "PENDING"]
    assert world.started == ["uid1-1", "uid1-2"]


async def test_an_operator_that_led_before_does_not_write_over_the_one_that_leads(world: Any) -> None:
    await world.step(2)
    before, earlier = world.reconciler, world.body
    world.restart()
    world.change(repeats=2)
    await world.step(5)
    now = world.body
    assert (world.status.evaluation, world.status.request_id) == ("evaluations/e2", "uid1-2")
    world.now += timedelta(minutes=5)
    with pytest.raises(NotWritten):
        await before.step(earlier)
    assert world.body is now


async def test_an_operator_that_gives_way_lets_go_of_its_call(world: Any) -> None:
    await world.step()
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def never(*_: object) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            let_go.set()

    carry_out, world.orchestrator.carry_out = world.orchestrator.carry_out, never
    step = asyncio.create_task(world.step())
    await asked.wait()
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    await let_go.wait()
    world.orchestrator.carry_out = carry_out
    await world.step()
    assert world.started == ["uid1-1"]


async def test_settings_of_the_operator_do_not_start_the_document_again(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    world.change(history_limit=3)
    await world.step(5)
    assert world.started == ["uid1-1"]
    assert world.status.observed_generation == 2
    assert world.status.conditions["Verdict"].generation == 2


@pytest.mark.parametrize(
    "reason",
    [Reason.ENDPOINT_UNAVAILABLE, Reason.ENDPOINT_UNAUTHENTICATED, Reason.CREDENTIAL_MISSING, Reason.CANCELLED],
)
async def test_a_failure_of_the_surroundings_goes_on_by_itself(world: Any, reason: Reason) -> None:
    await world.step(2)
    world.orchestrator.fail(reason)
    await world.step()
    assert world.status.phase == "Retrying"
    await world.step(3)
    assert world.started == ["uid1-1"]
    assert world.status.phase == "Running"


@pytest.mark.parametrize("reason", [Reason.OUT_OF_MEMORY, Reason.SPEND_CAP, Reason.BAD_DATASET, Reason.INTERNAL])
async def test_a_failure_that_would_cost_again_stays(world: Any, reason: Reason) -> None:
    await world.step(2)
    world.orchestrator.fail(reason)
    await world.step(20)
    assert world.orchestrator.calls == [Create("uid1-1"), Look("evaluations/e1")]
    assert world.status.phase == "Failed"
    assert world.condition("Verdict") == ("False", reason.name)


async def test_an_evaluation_that_somebody_removed_is_asked_for_again(world: Any) -> None:
    await world.step(2)
    world.orchestrator.evaluations.clear()
    await world.step(4)
    assert world.started == ["uid1-1"]


async def test_suspended_nothing_is_started(world: Any) -> None:
    world.create(suspend=True)
    await world.step(5)
    assert world.orchestrator.calls == []
    assert world.status.phase == "Suspended"
    world.change(suspend=False)
    await world.step(2)
    assert world.started == ["uid2-2"]


async def test_each_time_of_the_schedule_is_a_run_and_missed_ones_are_made_up_for_once(world: Any) -> None:
    world.create(schedule="0 2 * * *", time_zone="Europe/Berlin")
    await world.step(3)
    assert world.status.phase == "Scheduled"
    assert world.started == []
    world.now += timedelta(days=3)
    await world.step(2)
    slot = world.status.slot
    assert slot.isoformat() == "2026-12-01T01:00:00+00:00"
    assert world.started == [f"uid2-1-{int(slot.timestamp())}"]
    world.orchestrator.conclude()
    await world.step(10)
    assert len(world.started) == 1
    world.now += timedelta(days=1)
    await world.step(2)
    assert len(world.started) == 2
    assert world.condition("Verdict") == ("True", "PASS"), "the last verdict stands until the next"
    assert world.orchestrator.calls[-1].reuse is False


async def test_a_run_that_takes_longer_than_a_day_is_not_doubled(world: Any) -> None:
    world.create(schedule="@daily")
    world.now += timedelta(days=1)
    await world.step(2)
    world.now += timedelta(days=2)
    await world.step(3)
    assert len(world.started) == 1
    world.orchestrator.conclude()
    await world.step(3)
    assert len(world.started) == 2


async def _refused_night(world: Any) -> None:
    """A night that passed, and one whose data file is missing."""
    world.create(schedule="@daily")
    world.now += timedelta(days=1)
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    world.orchestrator.trouble = CandorError(Reason.BAD_DATASET, "there is no /data/questions.jsonl")
    world.now += timedelta(days=1)
    await world.step(20)


async def test_what_one_night_refused_the_next_one_tries_again(world: Any) -> None:
    await _refused_night(world)
    assert world.status.phase == "Refused"
    assert world.condition("Accepted") == ("False", "BAD_DATASET")
    assert world.condition("Verdict") == ("True", "PASS"), "the last verdict stands until the next"
    assert len(world.orchestrator.calls) == 3, "it is not tried again the same night"
    world.orchestrator.trouble = None
    world.now += timedelta(days=1)
    await world.step(2)
    assert len(world.started) == 2
    assert world.condition("Accepted") == ("True", "Created")


@pytest.mark.parametrize(
    "change", [{"history_limit": 3}, {"suspend": True}, {"schedule": "@hourly"}, {"schedule": "61 * * * *"}]
)
async def test_after_a_refused_night_the_last_verdict_stands_whatever_changes_beside_the_document(
    world: Any, change: dict[str, Any]
) -> None:
    await _refused_night(world)
    world.change(**{"schedule": "@daily", **change})
    await world.step(3)
    assert world.condition("Verdict") == ("True", "PASS")
    assert world.status.verdict == "PASS"


async def test_a_time_that_was_missed_is_made_up_for_whatever_else_of_the_spec_changes(world: Any) -> None:
    world.create(schedule="@daily", suspend=True)
    await world.step()
    due = world.status.next_slot
    world.now += timedelta(days=1)
    world.change(schedule="@daily", suspend=True, history_limit=3)
    await world.step(2)
    assert world.status.next_slot == due
    world.change(schedule="@daily", repeats=2)
    await world.step(3)
    assert world.started == [f"uid2-3-{int(due.timestamp())}"]


@pytest.mark.parametrize("change", [{"schedule": "0 3 * * *"}, {"schedule": "0 2 * * *", "time_zone": "Asia/Tokyo"}])
async def test_another_schedule_or_zone_begins_when_it_is_given(world: Any, change: dict[str, str]) -> None:
    world.create(schedule="0 2 * * *")
    await world.step()
    world.now += timedelta(days=1)
    world.change(**change)
    await world.step(5)
    assert world.started == []
    assert world.status.next_slot > world.now


async def test_a_schedule_that_is_added_later_begins_then(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    world.now += timedelta(days=7)
    world.change(schedule="@daily")
    await world.step(5)
    assert world.started == ["uid1-1"]
    world.now += timedelta(days=1)
    await world.step(2)
    assert len(world.started) == 2


@pytest.mark.parametrize("line", ["0 2 * *", "0 0 30 2 *", "often"])
async def test_a_bad_schedule_is_refused_and_mended(world: Any, line: str) -> None:
    world.create(schedule=line)
    await world.step(3)
    assert world.condition("Accepted") == ("False", "BAD_DOCUMENT")
    assert "schedule" in world.status.conditions["Accepted"].message
    world.change(schedule="@daily")
    await world.step(2)
    assert world.status.phase == "Scheduled"


async def test_a_bad_schedule_takes_neither_verdict_nor_run_from_a_document_that_is_the_same(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    world.change(schedule="@daily", time_zone="Mars/Base")
    await world.step(3)
    assert world.condition("Accepted") == ("False", "BAD_DOCUMENT")
    assert "time_zone: 'Mars/Base' is not a time zone" in world.status.conditions["Accepted"].message
    assert (world.status.phase, world.status.verdict) == ("Done", "PASS")
    assert world.condition("Verdict") == ("True", "PASS")
    assert (world.told[-1].kind, world.told[-1].reason) == ("Warning", "BAD_DOCUMENT")
    world.change()
    await world.step(5)
    assert world.started == ["uid1-1"]
    assert world.condition("Accepted") == ("True", "Created")
    assert (world.status.phase, world.status.verdict) == ("Done", "PASS")


async def test_a_bad_schedule_is_told_while_a_run_is_on_and_judged_when_it_ends(world: Any) -> None:
    world.create(schedule="0 2 * * *")
    world.now += timedelta(days=1)
    await world.step(2)
    world.told.clear()
    world.change(schedule="0 2 * * *", time_zone="Mars/Base")
    await world.step(5)
    assert world.status.next_slot is None
    assert world.status.phase == "Running"
    assert [(each.kind, each.reason) for each in world.told] == [("Warning", "BAD_DOCUMENT")]
    assert "Mars/Base" in world.told[0].message
    world.orchestrator.conclude()
    await world.step(3)
    assert (world.status.phase, world.status.verdict) == ("Done", "PASS")
    assert world.condition("Accepted") == ("False", "BAD_DOCUMENT")
    world.change(schedule="0 2 * * *", time_zone="UTC")
    await world.step()
    assert world.condition("Accepted") == ("True", "Created")
    world.now += timedelta(days=1)
    await world.step(2)
    assert len(world.started) == 2


async def test_a_bad_schedule_and_an_orchestrator_that_is_away_are_each_told_once(world: Any) -> None:
    await world.step()
    world.orchestrator.trouble = AWAY
    world.change(schedule="often")
    await world.step(60)
    assert sorted(each.reason for each in world.told) == ["BAD_DOCUMENT", "SERVICE_UNAVAILABLE"]


async def test_a_deleted_resource_stops_its_evaluation(world: Any) -> None:
    await world.step(2)
    assert "evaluations/e1 was cancelled" in (await world.reconciler.stop(world.body)).message
    assert world.orchestrator.last().state == "CANCELLED"
    await world.step()
    assert isinstance(world.orchestrator.calls[-1], Cancel)


async def test_an_evaluation_whose_name_a_crash_has_swallowed_is_found_and_stopped(world: Any) -> None:
    await world.step()
    world.orchestrator.crash = True
    with pytest.raises(Crashed):
        await world.step()
    world.restart()
    assert "evaluations/e1 was cancelled" in (await world.reconciler.stop(world.body)).message
    assert world.orchestrator.calls[-2:] == [Find("uid1-1", "uid1"), Cancel("evaluations/e1", "uid1")]
    assert world.orchestrator.last().state == "CANCELLED"


async def _joined(world: Any) -> None:
    """The resource goes on with what somebody else has started."""
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    world.change(repeats=2)
    world.orchestrator.start_for_somebody_else(world.body)
    await world.step(3)
    assert world.status.evaluation == "evaluations/e2"
    assert world.orchestrator.last().request_id == "somebody else's"


async def test_what_another_request_started_is_left_running_and_a_deletion_says_so(world: Any) -> None:
    await _joined(world)
    told = await world.reconciler.stop(world.body)
    assert (told.kind, told.reason) == ("Warning", "NotStopped")
    assert "evaluations/e2 goes on" in told.message
    assert "another request started it" in told.message
    assert world.orchestrator.last().state == "PENDING"


async def test_what_another_request_started_is_left_running_and_a_change_says_so(world: Any) -> None:
    await _joined(world)
    world.change(repeats=3)
    world.told.clear()
    await world.step(4)
    assert [(each.kind, each.reason) for each in world.told] == [("Warning", "NotStopped"), ("Normal", "Created")]
    assert "evaluations/e2 goes on" in world.told[0].message
    assert [each.state for each in world.orchestrator.evaluations.values()] == ["SUCCEEDED", "PENDING", "PENDING"]


async def test_what_had_ended_before_it_was_stopped_is_not_called_cancelled(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude()
    told = await world.reconciler.stop(world.body)
    assert (told.kind, told.reason) == ("Normal", "Ended")
    assert "evaluations/e1 had ended" in told.message


async def test_what_takes_a_while_to_stop_is_being_cancelled(world: Any) -> None:
    await world.step(2)
    world.orchestrator.slow_to_stop = True
    assert "evaluations/e1 is being cancelled" in (await world.reconciler.stop(world.body)).message


async def test_an_evaluation_of_an_earlier_generation_that_is_gone_on_with_is_stopped_too(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    world.change(repeats=2)
    await world.step(2)
    world.change(repeats=3)
    await world.step(4)
    world.change(repeats=2)
    await world.step(4)
    assert world.status.evaluation == "evaluations/e2"
    assert world.orchestrator.evaluations["evaluations/e2"].state == "PENDING"
    assert "evaluations/e2 was cancelled" in (await world.reconciler.stop(world.body)).message
    assert world.orchestrator.evaluations["evaluations/e2"].state == "CANCELLED"


async def test_a_finished_one_is_deleted_without_a_call(world: Any) -> None:
    await world.step(2)
    world.orchestrator.conclude()
    await world.step()
    calls = len(world.orchestrator.calls)
    assert await world.reconciler.stop(world.body) is None
    assert len(world.orchestrator.calls) == calls


async def test_a_deletion_that_finds_nobody_is_tried_again(world: Any) -> None:
    await world.step(2)
    world.orchestrator.trouble = AWAY
    with pytest.raises(Unstopped, match="nobody listens"):
        await world.reconciler.stop(world.body)


async def test_what_the_watch_has_not_brought_yet_is_known_all_the_same(world: Any) -> None:
    before = world.body
    await world.step()
    await world.reconciler.step(before)
    assert world.orchestrator.calls == [Create("uid1-1")]
    assert world.status.evaluation == "evaluations/e1"


async def test_a_long_reason_and_a_long_history_fit_into_the_status(world: Any) -> None:
    world.create(history_limit=20)
    for generation in range(1, 12):
        world.change(repeats=generation, history_limit=20)
        await world.step(3)
        world.orchestrator.conclude("INVALID", "Gründe \x1b[31m" * 500)
        await world.step(3)
        assert size(world.body["status"]) <= 2000
    assert len(world.status.history) >= 5
    assert "\x1b" not in world.status.conditions["Verdict"].message
