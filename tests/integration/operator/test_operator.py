"""From `kubectl apply` to a verdict, through whatever happens to the operator, the orchestrator and the resource."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from candor_operator.domain.status import size
from candor_operator.domain.times import written

from .conftest import condition, has_verdict

Spec = Callable[..., dict[str, Any]]


async def test_a_resource_comes_to_its_verdict(namespace: Any, orchestrator: Any, operators: Any, spec: Spec) -> None:
    operators.start(namespace, orchestrator.target)
    namespace.create(spec())
    body = await namespace.until(has_verdict)
    status = body["status"]
    assert (status["phase"], status["verdict"], status["arms"]) == ("Done", "FAIL", "v1, v2")
    assert condition(body, "Verdict")["reason"] == "FAIL"
    assert condition(body, "Accepted")["status"] == "True"
    assert condition(body, "Running")["status"] == "False"
    (evaluation,) = await orchestrator.evaluations()
    assert status["evaluation"] == evaluation.name
    assert evaluation.request_id == f"{body['metadata']['uid']}-1"
    assert status["progress"] == f"{evaluation.progress.responses_done}/{evaluation.progress.responses_total}"
    assert size(status) < 2048
    assert "annotations" not in body["metadata"]
    (told,) = await namespace.events("Verdict")
    assert told["type"] == "Warning"
    assert told["message"].startswith("FAIL: ")


async def test_a_killed_operator_goes_on_where_it_was(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec, models: Any
) -> None:
    models.hold()
    first = operators.start(namespace, orchestrator.target)
    namespace.create(spec())
    await namespace.until(lambda body: body.get("status", {}).get("phase") == "Running")
    first.kill()
    first.wait()
    models.release()
    operators.start(namespace, orchestrator.target)
    body = await namespace.until(has_verdict)
    assert body["status"]["verdict"] == "FAIL"
    assert len(await orchestrator.evaluations()) == 1


async def test_a_changed_spec_is_a_new_run_and_the_old_one_is_cancelled(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec, models: Any
) -> None:
    operators.start(namespace, orchestrator.target)
    namespace.create(spec())
    first = await namespace.until(has_verdict)
    models.hold()
    namespace.change({"repeats": 2})
    second = await namespace.until(
        lambda body: body["status"]["phase"] == "Running" and body["status"]["runGeneration"] == 2
    )
    assert condition(second, "Verdict")["status"] == "False"
    namespace.change({"arms": {"v2": {"endpoint": {"model": "honest"}}}})
    await namespace.until(lambda body: body["status"].get("runGeneration") == 3)
    models.release()
    last = await namespace.until(has_verdict)
    assert last["status"]["verdict"] == "INCONCLUSIVE"
    history = [(each["verdict"], each["generation"]) for each in last["status"]["history"]]
    assert history == [("INCONCLUSIVE", 3), ("FAIL", 1)]
    await orchestrator.until(second["status"]["evaluation"], "CANCELLED")
    names = {each["status"]["evaluation"] for each in (first, second, last)}
    assert {each.name for each in await orchestrator.evaluations()} == names


async def test_a_deleted_resource_takes_its_evaluation_along(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec, models: Any
) -> None:
    models.hold()
    operators.start(namespace, orchestrator.target)
    namespace.create(spec())
    body = await namespace.until(lambda body: body.get("status", {}).get("phase") == "Running")
    assert body["metadata"]["finalizers"] == ["candor.dev/stop"]
    namespace.delete()
    await namespace.until_gone()
    models.release()
    await orchestrator.until(body["status"]["evaluation"], "CANCELLED")
    (told,) = await namespace.events("Cancelled")
    assert "its resource is deleted" in told["message"]


async def test_a_deletion_while_no_operator_runs_is_carried_out_by_the_next(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec, models: Any
) -> None:
    models.hold()
    first = operators.start(namespace, orchestrator.target)
    namespace.create(spec())
    body = await namespace.until(lambda body: body.get("status", {}).get("phase") == "Running")
    first.kill()
    first.wait()
    namespace.delete()
    operators.start(namespace, orchestrator.target)
    await namespace.until_gone()
    models.release()
    await orchestrator.until(body["status"]["evaluation"], "CANCELLED")


async def test_a_deletion_does_not_wait_for_ever_for_an_orchestrator_that_is_gone(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec, models: Any
) -> None:
    models.hold()
    operators.start(namespace, orchestrator.target, give_up_seconds="1")
    namespace.create(spec())
    await namespace.until(lambda body: body.get("status", {}).get("phase") == "Running")
    models.release()
    await orchestrator.stop()
    namespace.delete()
    await namespace.until_gone()
    (told,) = await namespace.events("NotStopped")
    assert told["type"] == "Warning"


async def test_an_orchestrator_that_is_away_is_waited_for(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec
) -> None:
    await orchestrator.stop()
    operators.start(namespace, orchestrator.target)
    namespace.create(spec())
    body = await namespace.until(lambda body: condition(body, "Accepted").get("reason") == "SERVICE_UNAVAILABLE")
    assert condition(body, "Accepted")["status"] == "Unknown"
    await orchestrator.start()
    assert (await namespace.until(has_verdict))["status"]["verdict"] == "FAIL"


async def test_a_bad_document_is_refused_by_field(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec
) -> None:
    operators.start(namespace, orchestrator.target)
    namespace.create(spec(tasks=[{"name": "twice"}, {"name": "twice"}]))
    body = await namespace.until(lambda body: condition(body, "Accepted").get("status") == "False")
    assert condition(body, "Accepted")["reason"] == "BAD_DOCUMENT"
    assert "'twice' is listed twice" in condition(body, "Accepted")["message"]
    assert body["status"]["phase"] == "Refused"
    assert (await namespace.events("BAD_DOCUMENT"))[0]["type"] == "Warning"
    namespace.change({"tasks": spec()["tasks"]})
    assert (await namespace.until(has_verdict))["status"]["verdict"] == "FAIL"


async def test_a_time_of_the_schedule_that_passed_while_no_operator_ran_is_made_up_for_once(
    namespace: Any, orchestrator: Any, operators: Any, spec: Spec
) -> None:
    uid = namespace.create(spec(schedule="0 2 * * *", items=12))["metadata"]["uid"]
    missed = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    known = {"observedGeneration": 1, "phase": "Scheduled", "nextSlot": written(missed), "schedule": "0 2 * * * UTC"}
    namespace.client.patch(f"{namespace.evaluations}/nightly/status", {"status": known})
    operators.start(namespace, orchestrator.target)
    body = await namespace.until(has_verdict)
    slot, coming = (datetime.fromisoformat(body["status"][name]) for name in ("slot", "nextSlot"))
    assert (slot.hour, slot.minute) == (2, 0)
    assert coming - slot == timedelta(days=1)
    (evaluation,) = await orchestrator.evaluations()
    assert evaluation.request_id == f"{uid}-1-{int(slot.timestamp())}"
