"""Faults that only a database server can have."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa

from chassis.errors import CandorError, ExitCode, Reason
from services.orchestrator.backends import ledger_responses
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_errors import translated
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


@pytest.mark.parametrize(
    ("user", "database", "said"),
    [
        ("nobody", "", 'role "nobody" does not exist'),
        ("", "nowhere", 'database "nowhere" does not exist'),
        ("guest", "", "permission denied for database"),
        ("reader", "", "permission denied for schema"),
    ],
)
def test_a_server_that_refuses_this_user_is_no_temporary_failure(
    fresh_postgres: Callable[[], str], user: str, database: str, said: str
) -> None:
    url = sa.make_url(fresh_postgres())
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for role in ("guest", "reader"):
            connection.execute(sa.text(f"DROP ROLE IF EXISTS {role}"))
            connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(sa.text(f"REVOKE CONNECT ON DATABASE {url.database} FROM PUBLIC"))
        connection.execute(sa.text(f"GRANT CONNECT ON DATABASE {url.database} TO reader"))
    wrong = url.set(username=user or url.username, database=database or url.database)
    try:
        with pytest.raises(CandorError, match=said) as caught:
            Database(wrong.render_as_string(hide_password=False))
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"REVOKE CONNECT ON DATABASE {url.database} FROM reader"))
            connection.execute(sa.text("DROP ROLE guest"))
            connection.execute(sa.text("DROP ROLE reader"))
        engine.dispose()
    assert caught.value.reason is Reason.LEDGER_UNUSABLE
    assert not caught.value.retryable
    assert caught.value.exit_code is ExitCode.BAD_DOCUMENT


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('FATAL:  password authentication failed for user "candor"', Reason.LEDGER_UNUSABLE),
        ("fe_sendauth: no password supplied", Reason.LEDGER_UNUSABLE),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "candor"', Reason.LEDGER_UNUSABLE),
        ("FATAL:  the database system is starting up", Reason.LEDGER_LOCKED),
        ("FATAL:  sorry, too many clients already", Reason.LEDGER_LOCKED),
        ('connection to server at "10.0.0.7", port 5432 failed: Connection refused', Reason.LEDGER_LOCKED),
        ('could not extend file "base/1/2": No space left on device', Reason.LEDGER_FULL),
    ],
)
def test_what_a_server_says_decides_whether_to_try_again(said: str, reason: Reason) -> None:
    with pytest.raises(CandorError) as caught, translated():
        raise sa.exc.OperationalError("", {}, psycopg.OperationalError(f"connection failed: {said}"))
    assert caught.value.reason is reason
    assert caught.value.retryable is (reason is not Reason.LEDGER_UNUSABLE)


def test_a_database_that_keeps_bytes_for_text_is_refused_with_the_mend(fresh_postgres: Callable[[], str]) -> None:
    url = sa.make_url(fresh_postgres())
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    raw = f"{url.database}_raw"
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {raw} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"))
    engine.dispose()
    with pytest.raises(CandorError, match="encoding SQL_ASCII: make one with `createdb -E UTF8") as caught:
        Database(url.set(database=raw).render_as_string(hide_password=False))
    assert caught.value.reason is Reason.LEDGER_UNUSABLE
