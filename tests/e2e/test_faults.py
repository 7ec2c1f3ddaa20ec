"""Endpoints that misbehave: retries, then honest item errors, INVALID above 2 %, and never a PASS that was not earned."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest

from chassis.testing import Call, Fault

ITEMS = 12
PROBE = "Say the word ready"
# For endpoints that stop answering.
IMPATIENT = {
    "CANDOR_INFERENCE_ATTEMPT_SECONDS": "0.5",
    "CANDOR_INFERENCE_DEADLINE_SECONDS": "8",
    "CANDOR_INFERENCE_DOWN_AFTER_SECONDS": "1",
    "CANDOR_INFERENCE_MAX_ATTEMPTS": "4",
}


def replies(workshop: Any, document: Any) -> list[dict[str, Any]]:
    table = pq.read_table(workshop.results(document) / "results/responses.parquet")
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def once(fault: Fault, every: int = 1) -> Callable[[Call], Fault | None]:
    """A fault for the first call of every n-th prompt; the second attempt at it goes well."""
    seen: Counter[tuple[str, int | None]] = Counter()
    order = itertools.count()

    def choose(call: Call) -> Fault | None:
        key = (call.digest, call.seed)
        first = key not in seen
        seen[key] += 1
        return fault if first and not call.text.startswith(PROBE) and next(order) % every == 0 else None

    return choose


def for_prompts(fault: Fault, *words: str) -> Callable[[Call], Fault | None]:
    """A fault for every call whose prompt has one of these words."""
    return lambda call: fault if any(word in call.text for word in words) else None


def two_arms(models: Any, tools: Any, rows: Any, fault: Callable[[Call], Fault | None]) -> dict[str, Any]:
    return {"v1": models.sycophant(rows), "v2": models.sycophant(rows, fault=fault)}


@pytest.mark.parametrize(
    ("fault", "every"),
    [
        (Fault.rate_limited(retry_after=0.3), 1),
        (Fault.rate_limited(retry_after=None), 2),
        (Fault.status(500), 2),
        (Fault.status(503, retry_after=0.2), 2),
        (Fault.hang(), 3),
        (Fault.cut_json(), 2),
        (Fault.drop(), 2),
        (Fault.no_choices(), 2),
        (Fault.raw(b"<html>Bad gateway</html>", 502), 2),
        (Fault.raw(b""), 2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_passing_fault_is_retried_until_every_call_is_answered(
    workshop: Any, models: Any, tools: Any, fault: Fault, every: int
) -> None:
    rows = tools.towns(ITEMS)
    arms = two_arms(models, tools, rows, once(fault, every))
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    seconds = "1" if fault.hangs else "30"
    outcome = workshop.evaluate(document, env={"CANDOR_INFERENCE_ATTEMPT_SECONDS": seconds})
    assert outcome.code == 0, outcome.said
    found = replies(workshop, document)
    assert [row for row in found if row["error"]] == []
    assert len(found) == 2 * 2 * ITEMS
    attempts = Counter(row["attempts"] for row in found if row["arm"] == "v2")
    assert attempts[1] < 2 * ITEMS, "the fault was met"
    assert {row["attempts"] for row in found if row["arm"] == "v1"} == {1}
    calls = tools.asked([call for call in arms["v2"].calls if call.status == 200 and call.answered])
    assert len(calls) == 2 * ITEMS + 1


def test_a_storm_of_429_is_waited_out_without_hammering(workshop: Any, models: Any, tools: Any) -> None:
    """A quota of 20 requests a second, refused beyond with Retry-After."""
    rows = tools.towns(30)
    accepted: list[float] = []

    def quota(call: Call) -> Fault | None:
        now = time.monotonic()
        if sum(moment > now - 0.5 for moment in accepted) >= 10:
            return Fault.rate_limited(retry_after=0.5)
        accepted.append(now)
        return None

    arms = two_arms(models, tools, rows, quota)
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    assert [row for row in replies(workshop, document) if row["error"]] == []
    refused = sum(call.status == 429 for call in arms["v2"].calls)
    assert 0 < refused < 60, "it slows down instead of asking in vain"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.empty(), "EMPTY_REPLY"),
        (Fault.budget(), "OUTPUT_BUDGET"),
        (Fault.cut_json(), "BAD_REPLY"),
        (Fault.no_choices(), "BAD_REPLY"),
        (Fault.status(500), "ENDPOINT_UNAVAILABLE"),
        (Fault.hang(), "ENDPOINT_TIMEOUT"),
        (Fault.rate_limited(retry_after=0.1), "RATE_LIMITED"),
        (Fault.status(400, "maximum context length is 10 tokens", code="context_length_exceeded"), "CONTEXT_TOO_LONG"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_calls_that_fail_for_good_are_errors_of_their_items_and_above_two_percent_invalid(
    workshop: Any, models: Any, tools: Any, fault: Fault, reason: str
) -> None:
    rows = tools.towns(ITEMS)
    arms = two_arms(models, tools, rows, for_prompts(fault, "Barawick", "Baraford"))
    document = workshop.document(
        arms,
        rows,
        conditions=tools.two_cells,
        gate={"margin_pp": 60, "margins_pp": {"adopts_belief": 60, "refusals": 60}},
    )
    seconds = "0.7" if fault.hangs else "30"
    env = {"CANDOR_INFERENCE_MAX_ATTEMPTS": "2", "CANDOR_INFERENCE_ATTEMPT_SECONDS": seconds}
    outcome = workshop.evaluate(document, env=env)
    assert outcome.code == 3, outcome.said
    verdict = workshop.verdict(document)
    assert verdict["verdict"] == "INVALID"
    assert "2 %" in verdict["reason"] or "failed" in verdict["reason"]
    arm = next(arm for arm in verdict["arms"] if arm["name"] == "v2")
    assert set(arm["failed"]) == {reason}
    failed = [row for row in replies(workshop, document) if row["error"]]
    assert {row["error"] for row in failed} == {reason}
    assert {row["arm"] for row in failed} == {"v2"}
    assert not [row for row in failed if row["verdict"] == "correct"], "a failed call is never a right answer"
    if reason == "OUTPUT_BUDGET":
        assert "max_tokens" in outcome.said

    # The same command asks only the failed calls again, and now reaches its verdict.
    arms["v2"].fault = lambda call: None
    arms["v2"].release()
    before = {name: len(endpoint.calls) for name, endpoint in arms.items()}
    paid = {name: tools.asked([c for c in endpoint.calls if c.status == 200]) for name, endpoint in arms.items()}
    again = workshop.evaluate(document)
    assert again.code in (0, 2), again.said
    new = {name: endpoint.calls[before[name] :] for name, endpoint in arms.items()}
    asked_for_failed = [
        call for call in new["v2"] if any(word in call.messages[-1][1] for word in ("Barawick", "Baraford"))
    ]
    assert asked_for_failed
    if reason not in ("EMPTY_REPLY", "OUTPUT_BUDGET", "BAD_REPLY"):  # those were 200 for the log
        assert not set(tools.asked(new["v2"])) & set(paid["v2"])
    assert not set(tools.asked(new["v1"])) & set(paid["v1"])
    assert workshop.verdict(document)["evaluation"] == verdict["evaluation"]


def test_one_failure_below_two_percent_does_no_harm_and_is_said(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(60)
    arms = two_arms(models, tools, rows, for_prompts(Fault.empty(), "Barawick"))
    document = workshop.document(
        arms,
        rows,
        conditions={"contexts": ["none"], "beliefs": ["none", "asserts_false", "asserts_true"]},
        gate={
            "margin_pp": 20,
            "margins_pp": {"adopts_belief": 20, "user_right": 20, "refusals": 20},
            "stopping": "fixed",
        },
    )
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    arm = workshop.verdict(document)["arms"][1]
    assert arm["failed"] == {"EMPTY_REPLY": 3}
    gate = workshop.verdict(document)["gates"][0]
    assert gate["failed_trt"] == pytest.approx(1 / 60)
    assert gate["n_items"] == 59


def test_cut_replies_are_graded_and_their_share_is_said(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(ITEMS)
    arms = two_arms(models, tools, rows, lambda call: None if PROBE in call.text else Fault.length(200))
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    verdict = workshop.verdict(document)
    assert [arm["cut"] for arm in verdict["arms"]] == [0, 2 * ITEMS]
    assert "100% of the replies of v2 were cut at max_tokens" in outcome.out
    found = [row for row in replies(workshop, document) if row["arm"] == "v2"]
    assert {row["finish_reason"] for row in found} == {"length"}
    assert {row["verdict"] for row in found} <= {"correct", "incorrect"}


def test_refused_parameters_are_found_by_one_question_and_said(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(ITEMS)
    recorder = tools.recorder(models.sycophant(rows).answer)
    modern = models.endpoint(recorder, refuses=["temperature"], wants_max_completion_tokens=True)
    document = workshop.document(
        {"v1": models.sycophant(rows), "v2": modern}, rows, gate="none", conditions=tools.two_cells
    )
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    refused = [call for call in modern.calls if call.status == 400]
    assert {call.messages[-1][1][: len(PROBE)] for call in refused} == {PROBE}
    assert len(refused) <= 3
    assert {"temperature" in call.body for call in recorder.calls} == {False}
    assert {call.body.get("max_completion_tokens") for call in recorder.calls} == {300}
    arm = workshop.verdict(document)["arms"][1]
    assert arm["sampling"] == {"max_completion_tokens": "300", "seed": "1"}
    assert any("temperature" in note for note in arm["notes"])
    assert "v2 refused temperature" in outcome.out


@pytest.mark.parametrize("how", ["think", "reasoning_content", "reasoning"])
def test_reasoning_is_never_graded(workshop: Any, models: Any, tools: Any, how: str) -> None:
    rows = tools.towns(ITEMS)
    by_question = {row["question"]: row for row in rows}

    def thought(call: Call) -> Fault | None:
        row = next((row for question, row in by_question.items() if question in call.text), None)
        return Fault.reasoning(f"The answer is {row['false_answer']}.", how) if row else None

    arms = {"v1": models.sycophant(rows, error=0.0), "v2": models.sycophant(rows, error=0.0, fault=thought)}
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    found = replies(workshop, document)
    assert {row["verdict"] for row in found} == {"correct"}
    assert not [row for row in found if "think" in row["reply"] or row["false_answer"] in row["reply"]]


def test_an_endpoint_that_calls_itself_something_else_is_named(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(ITEMS)
    arms = two_arms(models, tools, rows, lambda call: Fault.calls_itself("cheaper-bot") if call.number > 8 else None)
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    assert "cheaper-bot" in outcome.out
    assert {row["reported_model"] for row in replies(workshop, document) if row["arm"] == "v2"} == {
        "support-bot",
        "cheaper-bot",
    }


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.status(503), 75),
        (Fault.hang(), 75),
        (Fault.rate_limited(retry_after=3600), 75),
        (Fault.status(401, "revoked"), 78),
        (Fault.status(404, "The model `support-bot` does not exist", code="model_not_found"), 78),
    ],
    ids=["503", "hangs", "asks to wait an hour", "key revoked", "model gone"],
)
def test_an_endpoint_that_answers_nothing_any_more_stops_the_run_and_it_goes_on_later(
    workshop: Any, models: Any, tools: Any, fault: Fault, code: int
) -> None:
    rows = tools.towns(40)
    dead = {"now": True}
    arms = two_arms(models, tools, rows, lambda call: fault if dead["now"] and call.number > 30 else None)
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    began = time.monotonic()
    # The endpoints answer from this very process: a pause of it that is longer than the limit (a collection of a large
    # heap, a busy machine) makes the client give up on calls whose answers lie there already, and ask them again.
    hurry = {"CANDOR_INFERENCE_ATTEMPT_SECONDS": "4" if fault.hangs else "30"}
    outcome = workshop.evaluate(document, env=IMPATIENT | hurry)
    assert outcome.code == code, outcome.said
    assert time.monotonic() - began < 60
    assert "v2" in outcome.err
    assert not workshop.results(document).exists()
    assert "Traceback" not in outcome.err

    dead["now"] = False
    arms["v2"].release()
    moment = time.monotonic()
    again = workshop.evaluate(document)
    assert again.code == 0, again.said
    assert len(replies(workshop, document)) == 2 * 2 * 40
    for endpoint in arms.values():
        assert tools.again(endpoint.calls, moment, grace=1.0) == []


def test_an_endpoint_that_vanishes_in_mid_run_is_75_and_resumes(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(60)
    arms = {
        "v1": models.sycophant(rows),
        "v2": models.sycophant(rows, fault=lambda call: Fault.delay(0.05)),
    }
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    process = workshop.start("evaluate", document, env=IMPATIENT)
    arms["v2"].wait_for_calls(40, seconds=90)
    arms["v2"].stop()
    moment = time.monotonic()
    outcome = tools.finish(process)
    assert outcome.code == 75, outcome.said
    assert "v2" in outcome.err
    assert "run the same command again" in outcome.err
    assert "Traceback" not in outcome.err

    arms["v2"].start()
    again = workshop.evaluate(document)
    assert again.code == 0, again.said
    for endpoint in arms.values():
        assert tools.again(endpoint.calls, moment, grace=1.0) == []


def judged_document(workshop: Any, models: Any, tools: Any, judge: dict[str, Any]) -> Any:
    rows = tools.towns(ITEMS)
    subject = models.endpoint(lambda call: "Hm, the one with the long tail, perhaps.")
    arms = {"v1": tools.arm(subject, "one"), "v2": tools.arm(subject, "two")}
    fields = {"gate": "none", "conditions": tools.two_cells, "grading": {"judge": judge}}
    return workshop.document(arms, rows, **fields), subject


def test_a_judge_that_refuses_the_key_is_named_before_anything_is_spent(workshop: Any, models: Any, tools: Any) -> None:
    judge = models.endpoint(str, key="right")
    document, subject = judged_document(workshop, models, tools, tools.arm(judge, "j"))
    outcome = workshop.evaluate(document)
    assert outcome.code == 78, outcome.said
    assert "judge" in outcome.err
    assert "api_key_env" in outcome.err
    probes = 2
    assert len(subject.calls) <= probes


def test_a_judge_that_dies_stops_the_run_and_only_grading_is_left_to_do(workshop: Any, models: Any, tools: Any) -> None:
    dead = {"now": True}
    judge = models.endpoint(
        lambda call: json.dumps({"final_claim": "a tail", "claim": "other"}),
        fault=lambda call: Fault.status(503) if dead["now"] and call.number > 2 else None,
    )
    document, subject = judged_document(workshop, models, tools, tools.arm(judge, "j"))
    impatient = {
        name.replace("INFERENCE", "GRADER"): value
        for name, value in IMPATIENT.items()
        if name != "CANDOR_INFERENCE_DOWN_AFTER_SECONDS"
    }
    outcome = workshop.evaluate(document, env=impatient)
    assert outcome.code == 75, outcome.said
    assert "grading" in outcome.err
    assert "run the same command again" in outcome.err
    dead["now"] = False
    again = workshop.evaluate(document)
    assert again.code == 0, again.said
    assert {row["decided_by"] for row in replies(workshop, document)} == {"judge"}
    assert max(tools.asked(subject.calls).values()) == 1, "no reply is asked for twice"
