"""The ledger's database: connections, transactions, schema version."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from chassis.errors import CandorError, Reason
from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_errors import translated

_KEYS_PER_QUERY = 500  # SQLite allows 32,766 variables; smaller statements compile once and stay cached
_WRITES = "candor_writes"


class Database:
    """An engine with our habits.

    Args:
        url: SQLAlchemy URL, for example `sqlite:///DIR/ledger.db` or `postgresql://...`.
        busy_seconds: How long a writer waits for another process that writes the same SQLite file.
    """

    def __init__(self, url: str, *, busy_seconds: float = 10.0) -> None:
        parsed = sa.make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.sqlite = parsed.get_backend_name() == "sqlite"
        # A Postgres of another encoding could not even say its version; then `_require_text` says what is wrong.
        options = {} if self.sqlite else {"client_encoding": "utf8"}
        self.engine = sa.create_engine(parsed, pool_pre_ping=not self.sqlite, connect_args=options)
        # SQLite has one writer at a time; waiting here is fair and prompt, its own waiting is a sleep of up to 100 ms.
        self._writer: contextlib.AbstractContextManager[Any] = (
            threading.RLock() if self.sqlite else contextlib.nullcontext()
        )
        if self.sqlite:
            sa.event.listen(self.engine, "connect", functools.partial(_sqlite_connect, busy_seconds))
            sa.event.listen(self.engine, "begin", _sqlite_begin)
        try:
            self._migrate()
        except CandorError:
            self.engine.dispose()
            raise

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def ping(self) -> bool:
        """Whether the database answers."""
        try:
            with self.engine.connect() as connection:
                connection.execute(sa.select(1))
        except sa.exc.SQLAlchemyError:
            return False
        return True

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with translated(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes: all or nothing."""
        with translated(), self._writer, self.engine.connect() as opened:
            connection = opened.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT."""
        return sqlite.insert(table) if self.sqlite else postgresql.insert(table)

    def lock(self, connection: sa.Connection, name: str) -> None:
        """Hold off other writers of the same name until the transaction ends; on SQLite every writer waits anyway."""
        if not self.sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))

    def stream(self, query: sa.Select[Any], size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a long query, some at a time, as the driver has them: a third of the cost of SQLAlchemy's rows."""
        compiled = query.compile(self.engine)
        values: Any = compiled.params
        if compiled.positional:
            values = [compiled.params[name] for name in compiled.positiontup or ()]
        with self.read() as connection:
            driver: Any = connection.connection.driver_connection
            # A named cursor stays on the server; without a name psycopg would hold all rows at once.
            cursor = driver.cursor() if self.sqlite else driver.cursor(name="candor_stream")
            with self._as_sqlalchemy_says(str(compiled), values), contextlib.closing(cursor):
                cursor.execute(str(compiled), values)
                while rows := cursor.fetchmany(size):
                    yield rows

    @contextlib.contextmanager
    def _as_sqlalchemy_says(self, statement: str, values: Any) -> Iterator[None]:
        """Errors of the driver in SQLAlchemy's classes, as all others are."""
        driver_error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        try:
            yield
        except driver_error as error:
            raise sa.exc.DBAPIError.instance(statement, values, error, driver_error) from error

    def by_key(self, query: sa.Select[Any], column: sa.Column[Any], keys: Sequence[bytes]) -> Iterator[sa.Row[Any]]:
        """Rows of a query for these keys."""
        statement = query.where(column.in_(sa.bindparam("keys", expanding=True)))
        with self.read() as connection:
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                yield from connection.execute(statement, {"keys": keys[start : start + _KEYS_PER_QUERY]}).all()

    def _migrate(self) -> None:
        with self.write() as connection:
            self.lock(connection, "candor schema")
            self._require_text(connection)
            t.metadata.create_all(connection)
            found = connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.name == "schema_version"))
            if found is None:
                values = {"name": "schema_version", "value": str(t.SCHEMA_VERSION)}
                connection.execute(self.insert(t.meta).values(**values).on_conflict_do_nothing())
            elif int(found) > t.SCHEMA_VERSION:
                message = f"the ledger has schema {found}, this version knows {t.SCHEMA_VERSION}: upgrade candor"
                raise CandorError(Reason.LEDGER_UNUSABLE, message)
            elif int(found) < t.SCHEMA_VERSION:
                # New tables were made above.
                _add_columns(connection, t.evaluations)
                newer = sa.update(t.meta).where(t.meta.c.name == "schema_version")
                connection.execute(newer.values(value=str(t.SCHEMA_VERSION)))

    def _require_text(self, connection: sa.Connection) -> None:
        """A Postgres of raw bytes gives back no text."""
        if self.sqlite:
            return
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            message = (
                f"the ledger's database has the encoding {encoding}: make one with `createdb -E UTF8 -T template0`"
            )
            raise CandorError(Reason.LEDGER_UNUSABLE, message)


def _add_columns(connection: sa.Connection, table: sa.Table) -> None:
    """The columns that the table did not have when the ledger was made; each has a default in the database."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    for column in table.c:
        if column.name not in there:
            clause = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {clause}"))


def _sqlite_connect(busy_seconds: float, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, so that writers say so from the start
    cursor = connection.cursor()
    # WAL lets a reader look while a run writes; NORMAL survives the death of the process, which is what we promise.
    cursor.execute(f"PRAGMA busy_timeout={round(busy_seconds * 1000)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA cache_size=-200000")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    # A reader that turns writer in mid-transaction fails at once when another wrote; IMMEDIATE waits its turn.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
