"""Faults that only a database server can have."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from chassis.errors import CandorError
from services.orchestrator.backends import ledger_responses
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.ports import ResponseRow

_CUT_OFF = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def db(fresh_postgres: Callable[[], str]) -> Iterator[Database]:
    opened = Database(fresh_postgres())
    yield opened
    opened.close()


def test_a_server_that_goes_while_outcomes_are_read_is_a_temporary_failure(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_responses, "_ROWS_PER_FETCH", 10)
    ledger = SqlLedger(db)
    ledger.put_responses([ResponseRow(key=f"{n:032d}".encode(), scope="e/v", evaluation_id="e") for n in range(30)])
    outcomes = ledger.outcomes("e/v", "g")
    assert len(next(outcomes).key) == 10
    with db.read() as connection:
        connection.execute(sa.text(_CUT_OFF))
    with pytest.raises(CandorError, match="the ledger cannot be used") as caught:
        list(outcomes)
    assert caught.value.retryable
    assert sum(len(found.key) for found in ledger.outcomes("e/v", "g")) == 30
