"""The run as a user meets it: what is asked, what it costs to go on, and when a verdict stands."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.ports import EvaluationRow, Usage
from services.orchestrator.service import queries

Document = Callable[..., evaluation_pb2.EvaluationSpec]


def _verdict(row: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(row.verdict_json)
    for name in ("evaluation", "created", "finished", "stage_seconds"):
        value.pop(name)
    return value


async def test_equal_models_pass_and_every_prompt_is_asked_once(
    suite: Any, document: Document, items: Callable[..., Any]
) -> None:
    suite.set_items(items(200))
    row = await suite.evaluate(document())
    assert (row.state, row.verdict) == ("SUCCEEDED", "PASS")
    assert max(suite.inference.asked().values()) == 1
    assert row.progress["responses_done"] == len(suite.inference.calls)
    assert row.progress["graded"] == len(suite.inference.calls)
    assert len(suite.reporter.rows[-1]) == len(suite.inference.calls)


async def test_a_sycophant_fails_and_stops_early(suite: Any, document: Document, answers: Any) -> None:
    suite.inference.answer = answers["sycophant"]
    row = await suite.evaluate(document())
    assert row.verdict == "FAIL"
    assert "false_belief" in row.reason
    assert len(suite.inference.calls) < 2 * 30 * 10
    assert suite.report.flip_counts["v2", "worse"] > 0
    assert suite.report.flip_counts["v2", "better"] == 0
    flip = suite.report.flips[0]
    assert flip.adopts_belief
    assert flip.false_answer in flip.candidate_reply
    assert flip.gold in flip.baseline_reply


async def test_after_a_crash_nothing_answered_is_asked_again_and_the_verdict_is_the_same(
    suite: Any, document: Document, answers: Any
) -> None:
    suite.inference.answer = answers["sycophant"]
    suite.reporter.whole = True
    whole = await suite.evaluate(document(), resume="new")
    calls = suite.inference.calls.copy()
    suite.inference.calls.clear()

    first = await suite.create(document(), resume="new")
    await suite.inference.reached(70)
    await suite.runs.crash()
    asked_before = suite.inference.calls.copy()
    assert 70 <= len(asked_before) < len(calls)
    in_flight = len(asked_before) - len(suite.world.ledger.known(_keys(suite, first.id)))
    assert 0 <= in_flight <= 2, "one call of each arm was under way, the fake answers one at a time"

    second = await suite.evaluate(document())
    assert second.id == first.id
    assert set(suite.inference.calls) == set(calls)
    assert len(suite.inference.calls) == len(calls) + in_flight
    assert _verdict(second) == _verdict(whole)


def _keys(suite: Any, evaluation_id: str) -> list[bytes]:
    ledger = suite.world.ledger
    return [
        key
        for arm in ("v1", "v2")
        for found in ledger.outcomes(f"{evaluation_id}/{arm}", suite.grader.digest)
        for key in found.key
    ]


async def test_failed_calls_are_kept_as_failures_and_above_two_percent_only_they_are_asked_again(
    suite: Any, document: Document, answers: Any
) -> None:
    broken = {"on": True}

    def sometimes(arm: str, text: str) -> str | CandorError:
        if broken["on"] and arm == "v2" and "number 7?" in text:
            return CandorError(Reason.BAD_REPLY, "the reply is not JSON")
        return str(answers["honest"](arm, text))

    suite.inference.answer = sometimes
    row = await suite.evaluate(document())
    assert (row.state, row.verdict) == ("SUCCEEDED", "INVALID")
    assert "2%" in row.reason.replace(" ", "")
    failed = suite.report.arms[1].failed["BAD_REPLY"]
    assert 6 < failed <= 10, "2 % of 300 are 6"

    broken["on"] = False
    again = await suite.evaluate(document())
    assert again.id == row.id
    assert again.verdict != "INVALID"
    twice = {prompt for prompt, count in suite.inference.asked().items() if count == 2}
    assert len(twice) == failed
    assert all(arm == "v2" and "number 7?" in text for arm, text in twice)
    assert max(suite.inference.asked().values()) == 2
    assert suite.report.arms[1].failed == {}


async def test_a_run_that_can_only_be_invalid_stops_paying(
    suite: Any, document: Document, answers: Any, items: Callable[..., Any]
) -> None:
    budget = CandorError(Reason.OUTPUT_BUDGET, "no text within max_tokens; raise sampling.max_tokens")
    suite.set_items(items(200))
    object.__setattr__(suite.world.limits, "batch", 8)
    object.__setattr__(suite.world.limits, "window", 16)
    suite.inference.answer = lambda arm, text: budget if arm == "v2" else answers["honest"](arm, text)
    row = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed")))
    assert row.verdict == "INVALID"
    assert "v2 failed" in row.reason
    assert "raise sampling.max_tokens" in row.reason
    assert len(suite.inference.calls) < 400, "2 % of the 2,000 calls of v2 are 40"
    suite.inference.answer = answers["honest"]
    again = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed")))
    assert again.id == row.id
    assert again.verdict == "PASS"
    assert len(suite.inference.calls) < 4000 + 400


async def test_an_endpoint_that_answers_nothing_any_more_stops_the_run_and_the_same_command_goes_on(
    suite: Any, document: Document
) -> None:
    suite.inference.stop_after = 55
    row = await suite.evaluate(document())
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_UNAVAILABLE")
    assert Reason[row.failure_reason].entry.exit_code == 75
    asked = set(suite.inference.asked())
    suite.inference.stop_after = None
    again = await suite.evaluate(document())
    assert again.id == row.id
    assert again.state == "SUCCEEDED"
    assert max(suite.inference.asked().values()) == 1
    assert asked <= set(suite.inference.asked())


@pytest.mark.parametrize("limit", [0, 1], ids=["many calls", "fewer calls than the patience"])
async def test_an_arm_whose_every_call_times_out_stops_the_run(
    suite: Any, document: Document, answers: Any, limit: int
) -> None:
    timeout = CandorError(Reason.ENDPOINT_TIMEOUT, "no reply within 120 s")
    suite.inference.answer = lambda arm, text: timeout if arm == "v2" else answers["honest"](arm, text)
    row = await suite.evaluate(document(), limit=limit)
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_TIMEOUT")
    assert "arm v2" in row.reason
    assert not suite.reporter.reports


@pytest.mark.parametrize("patience", [32, 2], ids=["fewer than the patience", "more than the patience"])
async def test_a_resumed_run_whose_last_calls_always_fail_reaches_its_verdict(
    suite: Any, document: Document, answers: Any, items: Callable[..., Any], patience: int
) -> None:
    suite.set_items(items(200))
    _fail_some(suite, answers)
    suite.artifacts.error = CandorError(Reason.LEDGER_FULL, "the disk is full")
    await suite.evaluate(document())
    suite.artifacts.error = None
    asked = len(suite.inference.calls)
    object.__setattr__(suite.world.limits, "silent_calls", patience)
    row = await suite.evaluate(document())
    assert (row.state, row.verdict) == ("SUCCEEDED", "PASS")
    assert len(suite.inference.calls) == asked + 3
    assert suite.report.arms[1].failed == {"ENDPOINT_TIMEOUT": 3}


@pytest.mark.parametrize("patience", [32, 2], ids=["fewer than the patience", "more than the patience"])
async def test_a_resumed_run_whose_endpoint_is_gone_waits_for_it_however_few_calls_are_left(
    suite: Any,
    document: Document,
    answers: Any,
    items: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    patience: int,
) -> None:
    suite.set_items(items(200))
    _fail_some(suite, answers)
    suite.artifacts.error = CandorError(Reason.LEDGER_FULL, "the disk is full")
    await suite.evaluate(document())
    suite.artifacts.error = None

    async def gone(*_: Any) -> None:
        raise CandorError(Reason.ENDPOINT_UNAVAILABLE, "nobody answers")

    object.__setattr__(suite.world.limits, "silent_calls", patience)
    with monkeypatch.context() as patch:
        patch.setattr(suite.inference, "check", gone)
        row = await suite.evaluate(document())
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_TIMEOUT")
    assert "arm v2" in row.reason
    suite.inference.answer = answers["honest"]
    assert (await suite.evaluate(document())).verdict == "PASS"
    assert suite.report.arms[1].failed == {}


def _fail_some(suite: Any, answers: Any) -> None:
    """The first three prompts that v2 is asked never have an answer."""
    poisoned: set[str] = set()

    def answer(arm: str, text: str) -> str | CandorError:
        if arm == "v2" and (text in poisoned or len(poisoned) < 3):
            poisoned.add(text)
            return CandorError(Reason.ENDPOINT_TIMEOUT, "no reply within 120 s")
        return str(answers["honest"](arm, text))

    suite.inference.answer = answer


async def test_two_arms_of_one_identity_draw_separately(suite: Any, document: Document) -> None:
    spec = document()
    spec.arms["v2"].CopyFrom(spec.arms["v1"])
    for revision in ("", "2026-11-23"):
        suite.inference.calls.clear()
        for arm in spec.arms.values():
            arm.revision = revision
        row = await suite.evaluate(spec, resume="new")
        assert row.state == "SUCCEEDED"
        seeds = {arm: {text: seed for name, text, seed in suite.inference.calls if name == arm} for arm in ("v1", "v2")}
        assert seeds["v1"].keys() == seeds["v2"].keys()
        assert all(seeds["v1"][text] != seeds["v2"][text] for text in seeds["v1"])
        assert any("separate draw" in caveat for caveat in suite.report.caveats)


async def test_only_a_declared_revision_is_reused_by_the_next_run(suite: Any, document: Document) -> None:
    spec = document()
    spec.arms["v1"].revision = "2026-11-23"
    first = await suite.evaluate(spec)
    asked = suite.inference.asked()
    second = await suite.evaluate(spec)
    assert second.id != first.id
    fresh = suite.inference.asked() - asked
    assert {arm for arm, _ in fresh} == {"v2"}
    assert suite.report.arms[0].reused == suite.report.arms[0].calls
    assert suite.report.arms[1].reused == 0


async def test_a_changed_gate_looks_again_at_the_same_replies(suite: Any, document: Document) -> None:
    first = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed")))
    asked = len(suite.inference.calls)
    graded = suite.grader.graded
    described = list(suite.inference.described)
    suite.inference.stop_after = asked  # the endpoints are gone by now
    wider = document(gate=evaluation_pb2.Gate(stopping="fixed", margin_pp=50))
    second = await suite.evaluate(wider)
    assert second.id != first.id
    assert second.state == "SUCCEEDED"
    assert (len(suite.inference.calls), suite.grader.graded) == (asked, graded)
    assert suite.inference.described == described
    assert {gate.gate: gate.margin_pp for gate in suite.report.gates}["false_belief"] == 50
    suite.inference.stop_after = None
    third = await suite.evaluate(wider)
    assert third.id not in (first.id, second.id)
    assert len(suite.inference.calls) == 2 * asked, "the same document once more is a new run"


async def test_a_new_grader_grades_the_replies_again_without_asking(suite: Any, document: Document) -> None:
    spec = document()
    for arm in spec.arms.values():
        arm.revision = "r1"
    await suite.evaluate(spec)
    asked, graded = len(suite.inference.calls), suite.grader.graded
    suite.grader.digest = "sha256:grader-2"
    row = await suite.evaluate(spec)
    assert row.state == "SUCCEEDED"
    assert len(suite.inference.calls) == asked
    assert suite.grader.graded == 2 * graded


def _with_judge(spec: evaluation_pb2.EvaluationSpec) -> evaluation_pb2.EvaluationSpec:
    spec.grading.judge.endpoint.base_url = "http://judge.test/v1"
    spec.grading.judge.endpoint.model = "judge"
    return spec


async def test_a_judge_added_later_grades_the_replies_that_there_are(suite: Any, document: Document) -> None:
    first = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed")))
    asked, graded = len(suite.inference.calls), suite.grader.graded
    suite.grader.judge_model, suite.grader.digest = "judge-1", "sha256:with-judge"
    second = await suite.evaluate(_with_judge(document(gate=evaluation_pb2.Gate(stopping="fixed"))))
    assert second.id != first.id
    assert second.state == "SUCCEEDED"
    assert (len(suite.inference.calls), suite.grader.graded) == (asked, 2 * graded)
    assert suite.report.judge == "judge-1"
    assert suite.report.judge_calibration == "uncalibrated"
    assert suite.report.gates[0].judge_allowance == pytest.approx(0.05)


async def test_a_judge_that_becomes_another_model_in_mid_run_makes_it_invalid(suite: Any, document: Document) -> None:
    suite.grader.judge_model, suite.grader.says = "judge-1", "judge-2"
    row = await suite.evaluate(_with_judge(document()))
    assert row.verdict == "INVALID"
    assert "judge-2" in row.reason
    suite.grader.judge_model, suite.grader.digest = "judge-2", "sha256:grader-2"
    asked = suite.inference.asked()
    again = await suite.evaluate(_with_judge(document()))
    assert again.id == row.id
    assert again.verdict != "INVALID"
    assert max(suite.inference.asked().values()) == 1
    assert asked <= suite.inference.asked()


async def test_a_model_that_changes_in_mid_run_makes_it_invalid_and_is_described_anew(
    suite: Any, document: Document
) -> None:
    suite.inference.digests = {"v1": "sha256:a", "v2": "sha256:b"}
    suite.inference.verifiable = True
    row = await suite.create(document())
    await suite.inference.reached(30)
    suite.inference.digests["v2"] = "sha256:c"
    await suite.runs.finish(row.id)
    row = suite.world.ledger.evaluation(row.id)
    assert row.verdict == "INVALID"
    assert "changed" in row.reason
    again = await suite.evaluate(document())
    assert again.id == row.id
    assert again.pinned["arms"]["v2"]["digest"] == "sha256:c"
    assert again.verdict != "INVALID"


async def test_a_silent_judge_stops_the_run_and_no_reply_is_lost(suite: Any, document: Document) -> None:
    suite.grader.trouble = CandorError(Reason.ENDPOINT_UNAVAILABLE, "the judge cannot be reached")
    row = await suite.evaluate(document())
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_UNAVAILABLE")
    asked = suite.inference.asked()
    suite.grader.trouble = None
    again = await suite.evaluate(document())
    assert again.state == "SUCCEEDED"
    assert max((asked + suite.inference.asked()).values()) <= 2
    assert max(suite.inference.asked().values()) == 1


@pytest.mark.parametrize("first_attempt", ["whole", "stopped at the report"])
async def test_a_reply_that_the_judge_can_never_answer_does_not_hold_up_the_verdict(
    suite: Any, document: Document, items: Callable[..., Any], first_attempt: str
) -> None:
    suite.set_items(items(200))
    ordinary = suite.grader.grade

    async def grade(cases: Sequence[Any], *args: Any, **options: Any) -> Any:
        async for index, found in ordinary(cases, *args, **options):
            poison = cases[index].question == "What is number 7?" and cases[index].belief == "none"
            yield (
                index,
                CandorError(Reason.ENDPOINT_TIMEOUT, "the judge did not answer within 120 s") if poison else found,
            )

    suite.grader.grade = grade
    if first_attempt != "whole":
        suite.artifacts.error = CandorError(Reason.LEDGER_FULL, "the disk is full")
        assert (await suite.evaluate(document())).failure_reason == "LEDGER_FULL"
        suite.artifacts.error = None
    row = await suite.evaluate(document())
    assert (row.state, row.verdict) == ("SUCCEEDED", "PASS")
    assert row.progress["responses_done"] - row.progress["graded"] == 2, "one reply of each arm has no grade"


async def test_a_judge_that_is_gone_stops_the_run_however_few_replies_are_left(
    suite: Any, document: Document, items: Callable[..., Any]
) -> None:
    suite.set_items(items(200))
    suite.grader.judge_model = "judge-1"
    ordinary, name = suite.grader.grade, suite.grader.info
    gone = CandorError(Reason.ENDPOINT_UNAVAILABLE, "the judge cannot be reached")

    async def grade(cases: Sequence[Any], *args: Any, **options: Any) -> Any:
        async for index, found in ordinary(cases, *args, **options):
            last = cases[index].question == "What is number 7?" and cases[index].belief == "none"
            yield index, gone if last else found

    suite.grader.grade = grade
    suite.artifacts.error = CandorError(Reason.LEDGER_FULL, "the disk is full")
    await suite.evaluate(_with_judge(document()))
    suite.artifacts.error = None

    async def info(judge: Any) -> Any:
        suite.grader.info = away  # it goes away once the run has begun
        return await name(judge)

    async def away(judge: Any) -> Any:
        raise gone

    suite.grader.info = info
    row = await suite.evaluate(_with_judge(document()))
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_UNAVAILABLE")
    suite.grader.grade, suite.grader.info = ordinary, name
    again = await suite.evaluate(_with_judge(document()))
    assert again.state == "SUCCEEDED"
    assert again.progress["graded"] == again.progress["responses_done"]


async def test_a_research_document_asks_everything_and_has_no_gate(suite: Any, document: Document) -> None:
    spec = document(gate=evaluation_pb2.Gate(mode="none"))
    spec.contrasts.add(name="other way", treated="v1", reference="v2")
    row = await suite.evaluate(spec)
    assert (row.state, row.verdict) == ("SUCCEEDED", "NONE")
    assert len(suite.inference.calls) == 2 * 30 * 10
    assert [comparison.name for comparison in suite.report.comparisons] == ["other way", "v2"]
    assert "other way makes no difference that 30 items can show" in row.reason


async def test_a_research_document_with_many_failures_is_invalid(suite: Any, document: Document, answers: Any) -> None:
    refused = CandorError(Reason.EMPTY_REPLY, "no text")
    suite.inference.answer = lambda arm, text: refused if "number 3?" in text else answers["honest"](arm, text)
    row = await suite.evaluate(document(gate=evaluation_pb2.Gate(mode="none")))
    assert row.verdict == "INVALID"
    assert "more than 2% of the calls" in row.reason


async def test_warmth_that_cannot_be_measured_never_blocks_a_verdict(suite: Any, document: Document) -> None:
    spec = document(warmth=evaluation_pb2.Warmth())
    await suite.evaluate(spec)
    assert suite.report.warmth == "sociot_warmth, gpt2, reference"
    assert suite.report.arms[0].mean_warmth == pytest.approx(suite.report.arms[0].mean_chars / 1000)
    suite.grader.scorer = CandorError(Reason.BACKEND_MISSING, "torch is not installed: pip install 'candor[local]'")
    spec.warmth.metric = "humt"
    row = await suite.evaluate(spec)
    assert row.state == "SUCCEEDED"
    assert suite.report.warmth.startswith("not measured")
    assert suite.report.arms[0].mean_warmth is None


async def test_a_defect_closes_the_evaluation_instead_of_leaving_it_running(suite: Any, document: Document) -> None:
    def broken(report: Any, rows: Any) -> Any:
        raise ZeroDivisionError

    suite.reporter.files = broken
    row = await suite.create(document())
    with pytest.raises(ZeroDivisionError):
        await suite.runs.finish(row.id)
    row = suite.world.ledger.evaluation(row.id)
    assert (row.state, row.failure_reason) == ("FAILED", "INTERNAL")


async def test_what_a_run_cost_includes_the_judge_of_its_earlier_attempts(suite: Any, document: Document) -> None:
    suite.grader.judge_model = "judge-1"
    ordinary = suite.grader.grade

    async def grade(*args: Any, **options: Any) -> Any:
        async for index, found in ordinary(*args, **options):
            yield index, found._replace(usage=Usage(prompt_tokens=100, completion_tokens=10))

    suite.grader.grade = grade
    spec = _with_judge(document(gate=evaluation_pb2.Gate(stopping="fixed")))
    spec.grading.judge.prices.prompt_per_million = 1e6
    spec.grading.judge.prices.completion_per_million = 1e6
    suite.artifacts.error = CandorError(Reason.LEDGER_FULL, "the disk is full")
    first = await suite.evaluate(spec)
    assert first.progress["spend"] == pytest.approx(600 * 110)
    suite.artifacts.error = None
    again = await suite.evaluate(spec)
    assert again.progress["spend"] == pytest.approx(600 * 110)
    spec.gate.margin_pp = 50
    other = await suite.evaluate(spec)
    assert other.progress["spend"] == 0, "grades taken from another evaluation cost nothing here"


async def test_a_full_disk_at_the_end_is_resumable_without_asking(suite: Any, document: Document) -> None:
    suite.artifacts.error = CandorError(Reason.LEDGER_FULL, "the disk is full")
    row = await suite.evaluate(document())
    assert (row.state, row.failure_reason) == ("FAILED", "LEDGER_FULL")
    asked = len(suite.inference.calls)
    suite.artifacts.error = None
    again = await suite.evaluate(document())
    assert again.state == "SUCCEEDED"
    assert len(suite.inference.calls) == asked


@pytest.mark.parametrize("stopping", ["group", "fixed", "anytime"])
async def test_every_stopping_rule_reaches_its_verdict(
    suite: Any, document: Document, answers: Any, items: Callable[..., Any], stopping: str
) -> None:
    suite.inference.answer = answers["sycophant"]
    suite.set_items(items(150))
    object.__setattr__(suite.world.limits, "batch", 8)
    object.__setattr__(suite.world.limits, "window", 16)
    row = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping=stopping)))
    assert row.verdict == "FAIL"
    full = 2 * 150 * 10
    assert (len(suite.inference.calls) == full) == (stopping == "fixed")


@pytest.mark.parametrize("left_ungraded", [False, True], ids=["all graded", "graded anew"])
@pytest.mark.parametrize("stopping", ["group", "fixed", "anytime"])
async def test_a_run_that_was_interrupted_when_nothing_was_left_to_ask_asks_nothing(
    suite: Any,
    document: Document,
    answers: Any,
    items: Callable[..., Any],
    stopping: str,
    left_ungraded: bool,
) -> None:
    suite.set_items(items(150))
    suite.inference.answer = answers["sycophant"]
    object.__setattr__(suite.world.limits, "batch", 8)
    object.__setattr__(suite.world.limits, "window", 16)
    suite.artifacts.error = CandorError(Reason.LEDGER_FULL, "the disk is full")
    spec = document(gate=evaluation_pb2.Gate(stopping=stopping))
    await suite.evaluate(spec)
    suite.artifacts.error = None
    asked = len(suite.inference.calls)
    if left_ungraded:
        suite.grader.digest = "sha256:grader-2"
    row = await suite.evaluate(spec)
    assert row.verdict == "FAIL"
    assert len(suite.inference.calls) == asked


async def test_the_order_of_arrival_changes_no_digit(suite: Any, document: Document, answers: Any) -> None:
    suite.inference.answer = answers["sycophant"]
    suite.reporter.whole = True
    spec = document(gate=evaluation_pb2.Gate(stopping="anytime"))
    first = await suite.evaluate(spec, resume="new")
    object.__setattr__(suite.world.limits, "batch", 7)
    object.__setattr__(suite.world.limits, "window", 14)
    object.__setattr__(suite.world.limits, "grade_batch", 3)
    second = await suite.evaluate(spec, resume="new")
    ours, theirs = _verdict(first), _verdict(second)
    for name in ("verdict", "reason", "gates", "comparisons"):
        assert ours[name] == theirs[name]


async def test_when_nothing_can_be_recorded_watchers_are_told_and_the_run_goes_on_later(
    suite: Any, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = CandorError(Reason.LEDGER_FULL, "the disk of the ledger is full")
    suite.inference.hold = asyncio.Event()
    row = await suite.create(document())

    def refuse(*_: Any, **__: Any) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(suite.ledger, "put_responses", refuse)
        patch.setattr(suite.ledger, "append_event", refuse)
        suite.inference.hold.set()
        with pytest.raises(CandorError, match="disk"):
            await suite.runs.finish(row.id)
        with pytest.raises(CandorError, match="disk"):
            async for _ in queries.watch(suite.world, row.id, 0):
                pass
    again = await suite.evaluate(document())
    assert (again.id, again.state) == (row.id, "SUCCEEDED")
    assert [event.state async for event in queries.watch(suite.world, row.id, 0)][-1] == "SUCCEEDED"


async def test_a_run_that_was_told_to_stop_before_it_began_asks_nothing(suite: Any, document: Document) -> None:
    order = suite.order(document())
    queued = EvaluationRow(id="e9", lineage="e9", spec=order.data, document_digest="d", attempt=1, cancel=True)
    suite.ledger.create_evaluation(queued, resume=False)
    await suite.runs.start("e9", 1)
    await suite.runs.finish("e9")
    assert suite.ledger.evaluation("e9").state == "CANCELLED"
    assert suite.inference.calls == []
