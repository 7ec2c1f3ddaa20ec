"""What every ledger promises, over SQLite and Postgres."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.errors import CandorError, ExitCode, Reason
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.ports import EvaluationRow, Grade, GradeRow, ResponseRow, Usage

_CORRECT = Grade(verdict="correct", adopts=None, decided_by="deterministic")


@pytest.fixture
def open_ledger(database_url: str) -> Iterator[Callable[[], SqlLedger]]:
    opened: list[SqlLedger] = []

    def again() -> SqlLedger:
        opened.append(SqlLedger(Database(database_url)))
        return opened[-1]

    yield again
    for ledger in opened:
        ledger.db.close()


@pytest.fixture
def ledger(open_ledger: Callable[[], SqlLedger]) -> SqlLedger:
    return open_ledger()


def _row(name: str, **changes: Any) -> EvaluationRow:
    values: dict[str, Any] = {
        "id": name,
        "lineage": name,
        "spec": b"\x00\x01",
        "document_digest": "sha256:d",
        "gate_digest": "g",
    }
    return EvaluationRow(**(values | changes))


def _reply(key: str, **changes: Any) -> ResponseRow:
    values: dict[str, Any] = {
        "key": key.encode().ljust(32, b"."),
        "scope": "e1/v1",
        "evaluation_id": "e1",
        "text": "Yes.",
        "created": 5.0,
    }
    return ResponseRow(**(values | changes))


def test_an_evaluation_comes_back_as_it_was_stored(ledger: SqlLedger) -> None:
    row = _row("e1", limit=7, pinned={"arms": {"v1": {"digest": "x"}}}, progress={"stage": "planning"}, created=9.5)
    stored, created = ledger.create_evaluation(row, resume=True)
    assert created
    assert ledger.evaluation("e1") == stored
    assert (stored.spec, stored.limit, stored.pinned, stored.created) == (row.spec, 7, row.pinned, 9.5)
    with pytest.raises(CandorError) as caught:
        ledger.evaluation("e2")
    assert caught.value.reason is Reason.EVALUATION_NOT_FOUND


def test_lists_run_from_the_newest_and_go_on_after_a_row(ledger: SqlLedger) -> None:
    for number in range(5):
        row = _row(f"e{number}", document_digest=f"sha256:{number}", created=float(number // 2 + 1))
        ledger.create_evaluation(row, resume=False)
    assert [row.id for row in ledger.evaluations(10)] == ["e4", "e3", "e2", "e1", "e0"]
    assert [row.id for row in ledger.evaluations(2, before=(2.0, "e3"))] == ["e2", "e1"]


def test_the_same_request_and_the_same_unfinished_document_are_one_evaluation(ledger: SqlLedger) -> None:
    ledger.create_evaluation(_row("e1", request_id="r", created=1.0), resume=True)
    assert ledger.create_evaluation(_row("e2", request_id="r", document_digest="other"), resume=False)[0].id == "e1"
    assert ledger.create_evaluation(_row("e3", created=2.0), resume=True)[0].id == "e1"
    assert ledger.create_evaluation(_row("e4", created=3.0), resume=False) == (ledger.evaluation("e4"), True)
    ledger.update_evaluation("e4", state="SUCCEEDED", verdict="PASS")
    assert ledger.create_evaluation(_row("e5", created=4.0), resume=True)[1], "the newest has its verdict"
    ledger.update_evaluation("e5", state="SUCCEEDED", verdict="INVALID")
    assert ledger.create_evaluation(_row("e6", created=5.0), resume=True)[0].id == "e5"
    assert [row.id for row in ledger.by_document("sha256:d")] == ["e5", "e4", "e1"]


def test_a_request_that_found_an_evaluation_under_way_names_it_after_its_verdict_too(ledger: SqlLedger) -> None:
    ledger.create_evaluation(_row("e1", request_id="first", created=1.0), resume=True)
    assert ledger.create_evaluation(_row("e2", request_id="second", created=2.0), resume=True)[0].id == "e1"
    ledger.update_evaluation("e1", state="SUCCEEDED", verdict="PASS")
    for request in ("first", "second"):
        found = ledger.by_request(request)
        assert found is not None
        assert found.id == "e1"
        assert ledger.create_evaluation(_row("e3", request_id=request, created=3.0), resume=False) == (found, False)
    assert ledger.by_request("third") is None
    assert ledger.by_request("") is None
    ledger.delete_evaluation("e1")
    assert ledger.by_request("second") is None
    assert ledger.create_evaluation(_row("e4", request_id="second"), resume=True)[1]


def test_at_once_only_one_of_many_creates(open_ledger: Callable[[], SqlLedger]) -> None:
    ledgers = [open_ledger(), open_ledger()]
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda n: ledgers[n % 2].create_evaluation(_row(f"e{n}", created=1.0), resume=True), range(16))
        )
    assert sum(created for _, created in found) == 1
    assert len({row.id for row, _ in found}) == 1


def test_events_are_numbered_without_gaps_however_many_write(open_ledger: Callable[[], SqlLedger]) -> None:
    ledgers = [open_ledger(), open_ledger()]
    ledgers[0].create_evaluation(_row("e1"), resume=False)
    with ThreadPoolExecutor(4) as pool:
        numbers = list(
            pool.map(lambda n: ledgers[n % 2].append_event("e1", "RUNNING", f"m{n}", {"graded": n}), range(40))
        )
    assert sorted(numbers) == list(range(1, 41))
    events = ledgers[1].events("e1", after=37)
    assert [event.sequence for event in events] == [38, 39, 40]
    assert [event.sequence for event in ledgers[0].events("e1", after=0, limit=3)] == [1, 2, 3]
    assert ledgers[0].evaluation("e1").progress == events[-1].progress
    assert ledgers[0].last_events("e1", 3) == events
    assert [event.sequence for event in ledgers[0].last_events("e1", 100)] == list(range(1, 41))
    assert ledgers[0].events("e1", after=40) == []


def test_an_event_changes_the_evaluation_in_the_same_transaction(ledger: SqlLedger) -> None:
    ledger.create_evaluation(_row("e1"), resume=False)
    ledger.append_event("e1", "SUCCEEDED", "PASS", {"stage": "done"}, verdict="PASS", verdict_json="{}")
    row = ledger.evaluation("e1")
    assert (row.state, row.verdict, row.verdict_json, row.progress) == ("SUCCEEDED", "PASS", "{}", {"stage": "done"})
    assert row.updated > row.created


def test_of_two_who_start_the_same_attempt_one_does(ledger: SqlLedger) -> None:
    ledger.create_evaluation(_row("e1"), resume=False)
    assert ledger.append_event("e1", "PENDING", "first", {}, attempt=1) == 1
    assert ledger.append_event("e1", "PENDING", "second", {}, attempt=1) == 0
    assert len(ledger.events("e1", after=0)) == 1
    assert ledger.append_event("e1", "PENDING", "later", {}, attempt=2) == 2


@pytest.mark.parametrize("closed", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_an_attempt_says_nothing_more_once_the_evaluation_is_closed_or_another_attempt_began(
    ledger: SqlLedger, closed: str
) -> None:
    ledger.create_evaluation(_row("e1"), resume=False)
    ledger.append_event("e1", "PENDING", "created", {}, attempt=1)
    assert ledger.append_event("e1", "RUNNING", "first", {}, by_attempt=1) == 2
    ledger.append_event("e1", closed, "", {}, by_attempt=1)
    assert ledger.append_event("e1", "RUNNING", "late", {"graded": 9}, by_attempt=1) == 0
    assert (ledger.evaluation("e1").state, ledger.evaluation("e1").progress) == (closed, {})
    ledger.append_event("e1", "PENDING", "goes on", {}, attempt=2)
    assert ledger.append_event("e1", "FAILED", "late", {}, by_attempt=1) == 0
    assert ledger.append_event("e1", "RUNNING", "second", {}, by_attempt=2) == 5
    assert [event.message for event in ledger.events("e1", after=3)] == ["goes on", "second"]


def test_a_reply_replaces_a_failure_and_nothing_replaces_a_reply(ledger: SqlLedger) -> None:
    failure = _reply("a", text="", error_reason="BAD_REPLY", error_message="not JSON")
    ledger.put_responses([failure])
    assert ledger.known([failure.key]) == set()
    ledger.put_responses([_reply("a", text="first"), _reply("b")])
    assert ledger.known([failure.key, _reply("b").key]) == {failure.key, _reply("b").key}
    ledger.put_responses([_reply("a", text="second"), failure])
    stored = ledger.responses([failure.key])[failure.key]
    assert (stored.text, stored.error_reason) == ("first", "")


def test_text_survives_whatever_a_model_says(ledger: SqlLedger) -> None:
    text = "naïve 🤝 \u202e \r\n\t" + "x" * 100_000
    odd = _reply("a", text=text + "\x00", finish_reason="f" * 200, reported_model="m" * 500)
    ledger.put_responses([odd])
    ledger.put_grades(
        [GradeRow(key=odd.key, grader_digest="g", grade=_CORRECT._replace(judge_raw="\x00", rule="a\x00"))]
    )
    stored = ledger.responses([odd.key])[odd.key]
    assert stored.text == text + "\N{REPLACEMENT CHARACTER}"
    assert len(stored.finish_reason) == 32
    found = next(iter(ledger.outcomes("e1/v1", "g")))
    assert list(found.chars) == [len(text) + 1]


def test_outcomes_are_those_of_one_scope_with_grades_of_one_version(ledger: SqlLedger) -> None:
    ledger.put_responses([_reply("a", prompt_tokens=3), _reply("b", error_reason="X"), _reply("c", scope="e10/v1")])
    grade = Grade(verdict="incorrect", adopts=True, decided_by="judge", usage=Usage(prompt_tokens=9))
    ledger.put_grades([GradeRow(key=_reply("a").key, grader_digest="g1", grade=grade)])
    (found,) = ledger.outcomes("e1/v1", "g1")
    assert set(found.key) == {_reply("a").key, _reply("b").key}
    graded = found.at([found.key.index(_reply("a").key)])
    assert (graded.verdict, graded.adopts, graded.decided_by) == (["incorrect"], [True], ["judge"])
    assert (graded.chars, graded.prompt_tokens, graded.error_reason) == ([4], [3], [""])
    (other,) = ledger.outcomes("e1/v1", "g2")
    assert (set(other.verdict), set(other.adopts), sorted(other.error_reason)) == ({""}, {None}, ["", "X"])


def test_a_later_grade_replaces_the_earlier_of_the_same_version(ledger: SqlLedger) -> None:
    key = _reply("a").key
    first = Grade(verdict="ungradable", adopts=None, decided_by="none", rule="r")
    second = Grade(
        verdict="correct", adopts=False, decided_by="judge", usage=Usage(prompt_tokens=1, completion_tokens=2)
    )
    ledger.put_grades([GradeRow(key=key, grader_digest="g", grade=first)])
    ledger.put_grades([GradeRow(key=key, grader_digest="g", grade=second)])
    assert ledger.grades([key], "g") == {key: second}
    assert ledger.grades([key], "other") == {}


def test_more_keys_than_one_statement_takes(ledger: SqlLedger) -> None:
    rows = [_reply(f"k{n}") for n in range(1203)]
    ledger.put_responses(rows)
    assert len(ledger.responses([row.key for row in rows])) == 1203
    assert len(ledger.known([row.key for row in rows])) == 1203
    assert sum(len(found.key) for found in ledger.outcomes("e1/v1", "g")) == 1203


def test_scores_keep_what_could_not_be_scored(ledger: SqlLedger) -> None:
    a, b = _reply("a").key, _reply("b").key
    ledger.put_scores("s", [(a, 0.25), (b, None)])
    ledger.put_scores("s", [(a, 0.5)])
    assert ledger.scores([a, b], "s") == {a: 0.5, b: None}
    assert ledger.scores([a], "t") == {}


def test_files_and_calibrations(ledger: SqlLedger) -> None:
    assert ledger.put_dataset("sha256:1", "q.csv", b"\x00\xff" * 1000)
    assert not ledger.put_dataset("sha256:1", "other.csv", b"\x00\xff" * 1000)
    assert ledger.dataset("sha256:1") == ("q.csv", b"\x00\xff" * 1000)
    assert ledger.dataset("sha256:2") is None
    ledger.put_calibration("j", "{}")
    ledger.put_calibration("j", '{"kappa": 1}')
    assert ledger.calibration("j") == '{"kappa": 1}'
    assert ledger.calibration("k") is None


def test_deleting_takes_the_replies_of_the_lineage_with_its_last_evaluation(ledger: SqlLedger) -> None:
    for name, lineage in (("e1", "e1"), ("e2", "e1"), ("e10", "e10")):
        ledger.create_evaluation(_row(name, lineage=lineage, document_digest=name), resume=False)
    shared = _reply("s", scope="sha256:weights")
    ledger.put_responses([_reply("a"), _reply("c", scope="e10/v1"), shared])
    ledger.put_grades([GradeRow(key=_reply("a").key, grader_digest="g", grade=_CORRECT)])
    ledger.append_event("e1", "SUCCEEDED", "", {})
    ledger.delete_evaluation("e1")
    assert ledger.events("e1", after=0) == []
    assert list(ledger.outcomes("e1/v1", "g")), "e2 still takes them"
    ledger.delete_evaluation("e2")
    assert not list(ledger.outcomes("e1/v1", "g"))
    assert ledger.grades([_reply("a").key], "g") == {}
    assert ledger.known([_reply("c").key, shared.key]) == {_reply("c").key, shared.key}


def test_two_writers_lose_nothing(open_ledger: Callable[[], SqlLedger]) -> None:
    ledgers = [open_ledger(), open_ledger()]
    barrier = threading.Barrier(4)

    def write(worker: int) -> None:
        barrier.wait()
        for number in range(20):
            ledgers[worker % 2].put_responses([_reply(f"{worker}-{number}-{n}") for n in range(10)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert sum(len(found.key) for found in ledgers[0].outcomes("e1/v1", "g")) == 4 * 20 * 10


def test_a_ledger_of_a_newer_program_is_refused(open_ledger: Callable[[], SqlLedger]) -> None:
    ledger = open_ledger()
    with ledger.db.write() as connection:
        connection.execute(sa.text("UPDATE candor_meta SET value = '999' WHERE name = 'schema_version'"))
    with pytest.raises(CandorError, match="upgrade candor") as caught:
        open_ledger()
    assert caught.value.reason is Reason.LEDGER_UNUSABLE
    assert not caught.value.retryable, "no repetition makes this program newer"
    assert caught.value.exit_code is ExitCode.BAD_DOCUMENT


def test_a_closed_database_is_a_temporary_failure(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger.db.ping()
    for said, told in (("server closed the connection unexpectedly", "server closed"), ("", "gave no reason")):
        lost = sa.exc.OperationalError("", {}, Exception(said))

        def refuse(lost: Exception = lost) -> None:
            raise lost

        with monkeypatch.context() as patch:
            patch.setattr(ledger.db.engine, "connect", refuse)
            assert not ledger.db.ping()
            with pytest.raises(CandorError, match=told) as caught:
                ledger.put_responses([_reply("a")])
        assert caught.value.reason is Reason.LEDGER_LOCKED
        assert caught.value.retryable
