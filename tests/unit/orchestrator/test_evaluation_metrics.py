"""Metrics read from a ledger in which real evaluations ran."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2
from prometheus_client import CollectorRegistry, generate_latest

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.metrics.exposed import EvaluationMetrics
from services.orchestrator.backends.metrics.reading import LedgerReading
from services.orchestrator.domain.calibration import calibrate
from services.orchestrator.service.judging import judge_digest

Document = Callable[..., evaluation_pb2.EvaluationSpec]
Value = Callable[..., float | None]
GATE = evaluation_pb2.Gate(stopping="fixed")
_ONE_IN_TEN_WRONG = [("correct", "incorrect" if number % 10 == 0 else "correct", "v1") for number in range(100)]


@pytest.fixture
def registry(suite: Any) -> CollectorRegistry:
    suite.reporter.whole = True
    return _scraped(suite)


@pytest.fixture
def value(registry: CollectorRegistry) -> Value:
    return lambda name, **labels: registry.get_sample_value(name, {"family": "nightly", **labels})


def _scraped(suite: Any) -> CollectorRegistry:
    """A replica's registry on this ledger."""
    registry = CollectorRegistry()
    registry.register(
        EvaluationMetrics(LedgerReading(suite.ledger, ["nightly"], fresh_seconds=0, patience_seconds=60).view)
    )
    return registry


def _judged(document: Document) -> evaluation_pb2.EvaluationSpec:
    spec = document(name="nightly", gate=GATE)
    spec.grading.judge.endpoint.base_url = "http://judge.test/v1"
    spec.grading.judge.endpoint.model = "judge"
    return spec


async def test_a_failed_gate_is_told_with_its_numbers(
    suite: Any, document: Document, answers: Any, value: Value
) -> None:
    suite.inference.answer = answers["sycophant"]
    row = await suite.evaluate(document(name="nightly", gate=GATE))
    assert row.verdict == "FAIL"
    gate = json.loads(row.verdict_json)["gates"][0]

    assert value("candor_last_verdict", verdict="FAIL") == 1
    assert value("candor_last_verdict", verdict="PASS") == 0
    assert value("candor_verdicts", verdict="FAIL") == 1
    assert value("candor_last_verdict_timestamp_seconds", verdict="FAIL") == pytest.approx(row.updated)
    assert value("candor_gate_decision", gate="false_belief", decision="FAIL") == 1
    for bound in ("estimate", "lower", "upper"):
        points = value("candor_gate_difference_points", gate="false_belief", bound=bound)
        assert points == pytest.approx(100 * gate[bound])
    assert value("candor_gate_margin_points", gate="false_belief") == 2
    assert value("candor_gate_bad_ratio", gate="false_belief", arm="candidate") == gate["rate_trt"]
    assert value("candor_error_ratio", arm="baseline") == 0
    assert value("candor_error_difference_points", bound="estimate") == pytest.approx(
        100 * (value("candor_error_ratio", arm="candidate") or 0)
    )
    assert value("candor_replies") == row.progress["responses_done"]
    assert value("candor_evaluations", state="succeeded") == 1


async def test_a_restarted_server_and_another_replica_say_the_same(suite: Any, document: Document) -> None:
    suite.reporter.whole = True
    await suite.evaluate(document(name="nightly", gate=GATE))
    assert generate_latest(_scraped(suite)) == generate_latest(_scraped(suite))


async def test_names_of_documents_and_arms_make_no_series(
    suite: Any, document: Document, registry: CollectorRegistry
) -> None:
    def series() -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {
            (sample.name, frozenset(sample.labels.items()))
            for family in registry.collect()
            for sample in family.samples
        }

    await suite.evaluate(document(name="first", gate=GATE))
    before = series()
    for name in ('evil"} 1\ncandor_spend 9', "nightly2", "x" * 200):
        hostile = document(name=name, gate=GATE)
        hostile.arms["the.arm"].CopyFrom(hostile.arms.pop("v2"))
        await suite.evaluate(hostile)
    assert series() == before
    page = generate_latest(registry).decode()
    assert "evil" not in page
    assert "the.arm" not in page


async def test_what_runs_and_what_waits_is_counted(
    suite: Any, document: Document, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = suite.runs.start

    async def later(evaluation_id: str, attempt: int) -> None:
        """No replica has taken it yet."""

    monkeypatch.setattr(suite.runs, "start", later)
    row = await suite.create(document(name="nightly", gate=GATE))
    assert value("candor_evaluations", state="queued") == 1
    assert value("candor_queued_since_timestamp_seconds") == pytest.approx(row.updated)
    await begin(row.id, row.attempt)
    await suite.inference.reached(1)
    assert value("candor_evaluations", state="queued") == 0
    assert value("candor_queued_since_timestamp_seconds") == 0
    assert value("candor_evaluations", state="running") == 1
    await suite.runs.finish(row.id)
    assert value("candor_evaluations", state="running") == 0
    assert value("candor_evaluations", state="succeeded") == 1


async def test_a_judge_that_is_another_than_last_time_is_told(suite: Any, document: Document, value: Value) -> None:
    for judge in ("judge-1", "judge-2"):
        suite.grader.judge_model, suite.grader.digest = judge, f"sha256:{judge}"
        row = await suite.evaluate(_judged(document))
        assert value("candor_gate_judged_ratio", gate="false_belief") == 1
    assert value("candor_judge_identity_changes") == 1
    assert value("candor_judge_identity_change_timestamp_seconds") == pytest.approx(row.updated)


async def test_agreement_is_that_of_the_last_verdicts_judge(suite: Any, document: Document, value: Value) -> None:
    suite.grader.judge_model = "judge-1"
    await suite.evaluate(_judged(document))
    assert value("candor_judge_agreement_ratio", bound="estimate") is None

    easy, hard = calibrate([("correct", "correct", "v1")] * 9), calibrate(_ONE_IN_TEN_WRONG)
    body = json.dumps({**easy.to_json(), "left_open": hard.to_json()})
    suite.ledger.put_calibration(judge_digest(await suite.grader.info(object())), body)
    found = hard.overall.agreement
    for bound, expected in (("estimate", 0.9), ("lower", found.lower), ("upper", found.upper)):
        assert value("candor_judge_agreement_ratio", bound=bound) == pytest.approx(expected)


@pytest.mark.parametrize("cause", ["judge_changed", "failed_calls", "model_changed"])
async def test_an_invalid_verdict_is_told_by_its_cause(
    suite: Any, document: Document, answers: Any, value: Value, cause: str
) -> None:
    suite.grader.judge_model = "judge-1"
    suite.grader.says = "judge-2" if cause == "judge_changed" else ""

    def answer(arm: str, text: str) -> Any:
        if cause == "model_changed":
            suite.inference.digests["v2"] = "sha256:another"  # for the calls after this one
        if cause == "failed_calls" and arm == "v2":
            return CandorError(Reason.EMPTY_REPLY, "nothing")
        return answers["honest"](arm, text)

    suite.inference.answer = answer
    object.__setattr__(suite.world.limits, "batch", 1)
    row = await suite.evaluate(_judged(document))
    assert row.verdict == "INVALID", row.reason
    assert value("candor_invalid_verdicts", cause=cause) == 1
    assert value("candor_last_verdict", verdict="INVALID") == 1


async def test_a_run_that_ends_without_a_verdict_is_a_failure(suite: Any, document: Document, value: Value) -> None:
    suite.inference.stop_after = 0
    row = await suite.evaluate(document(name="nightly", gate=GATE))
    assert row.state == "FAILED"
    assert value("candor_evaluations", state="failed") == 1
    assert value("candor_last_failure_timestamp_seconds") == pytest.approx(row.updated)
    assert value("candor_last_verdict", verdict="PASS") == 0


async def test_a_deleted_evaluation_is_gone(suite: Any, document: Document, value: Value) -> None:
    row = await suite.evaluate(document(name="nightly", gate=GATE))
    assert value("candor_verdicts", verdict=row.verdict) == 1
    suite.ledger.delete_evaluation(row.id)
    assert value("candor_verdicts", verdict=row.verdict) == 0


async def test_a_ledger_that_is_away_keeps_what_was_known(
    suite: Any, document: Document, registry: CollectorRegistry, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await suite.evaluate(document(name="nightly", gate=GATE))
    assert registry.get_sample_value("candor_ledger_up") == 1

    def away(*_: object) -> Any:
        raise CandorError(Reason.LEDGER_LOCKED, "away")

    monkeypatch.setattr(suite.ledger.db, "read", away)
    assert registry.get_sample_value("candor_ledger_up") == 0
    assert value("candor_verdicts", verdict=row.verdict) == 1


async def test_before_the_ledger_was_read_nothing_is_said_of_families(
    suite: Any, registry: CollectorRegistry, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:

        def away(*_: object) -> Any:
            raise CandorError(Reason.LEDGER_LOCKED, "away")

        broken.setattr(suite.ledger.db, "read", away)
        assert registry.get_sample_value("candor_ledger_up") == 0
        assert value("candor_evaluations", state="succeeded") is None
    assert value("candor_evaluations", state="succeeded") == 0


async def test_closed_evaluations_are_read_once(
    suite: Any, document: Document, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    await suite.evaluate(document(name="nightly", gate=GATE))
    value("candor_spend")
    queries: list[str] = []
    read = suite.ledger.db.read

    def counted() -> Any:
        queries.append("")
        return read()

    monkeypatch.setattr(suite.ledger.db, "read", counted)
    value("candor_spend")
    assert len(queries) == 1, "which evaluations there are, and nothing of the one that is closed"
