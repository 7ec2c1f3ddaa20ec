"""Faults that only a file can have."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.errors import CandorError, ExitCode, Reason
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.ports import ResponseRow


def _rows(count: int) -> list[ResponseRow]:
    return [
        ResponseRow(key=f"{n:032d}".encode(), scope="e/v", evaluation_id="e", text="x" * 4000) for n in range(count)
    ]


def test_a_full_disk_is_said_and_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/ledger.db")
    ledger = SqlLedger(db)
    ledger.put_responses(_rows(10))

    def small(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 60")

    sa.event.listen(db.engine, "connect", small)
    db.engine.dispose()
    with pytest.raises(CandorError, match="disk") as caught:
        ledger.put_responses(_rows(500))
    assert caught.value.reason is Reason.LEDGER_FULL
    assert caught.value.exit_code is ExitCode.TEMPORARY
    assert sum(len(found.key) for found in ledger.outcomes("e/v", "g")) == 10
    db.close()


def test_a_file_held_by_another_program_is_said(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/ledger.db", busy_seconds=0.05)
    holder = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CandorError, match="locked") as caught:
        SqlLedger(db).put_responses(_rows(1))
    assert caught.value.reason is Reason.LEDGER_LOCKED
    holder.execute("ROLLBACK")
    holder.close()
    SqlLedger(db).put_responses(_rows(1))
    db.close()


def test_something_else_than_a_ledger_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database at all, just some text that is long enough" * 20)
    with pytest.raises(CandorError, match="not a database") as caught:
        Database(f"sqlite:///{tmp_path}/ledger.db")
    assert caught.value.reason is Reason.LEDGER_UNUSABLE
    assert not caught.value.retryable


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(CandorError, match="unable to open") as caught:
        Database(f"sqlite:///{tmp_path}/ledger.db")
    assert caught.value.reason is Reason.STORAGE_UNUSABLE
    assert not caught.value.retryable


def test_a_table_that_another_program_dropped_is_said(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/ledger.db")
    ledger = SqlLedger(db)
    other = sqlite3.connect(tmp_path / "ledger.db")
    other.execute("DROP TABLE candor_grades")
    other.close()
    with pytest.raises(CandorError, match="no such table") as caught:
        list(ledger.outcomes("e/v", "g"))
    assert caught.value.reason is Reason.LEDGER_UNUSABLE
    db.close()
