"""The ledger on SQLAlchemy Core: SQLite in WAL mode (embedded) or Postgres (many replicas)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from chassis.errors import CandorError, Reason
from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.ports import EvaluationRow, EventRow, Grade, GradeRow, ResponseRow, Usage

_KEYS_PER_QUERY = 500  # SQLite allows 32,766 variables; smaller statements compile once and stay cached
_EVALUATION_COLUMNS = tuple(field.name for field in fields(EvaluationRow))


class SqlLedger:
    """Implements `ports.Ledger`.

    Args:
        url: SQLAlchemy URL, for example `sqlite:///DIR/ledger.db` or `postgresql+psycopg://...`.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, pool_pre_ping=True)
        self._sqlite = self._engine.dialect.name == "sqlite"
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _sqlite_pragmas)
        with self._translated():
            self._migrate()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def ping(self) -> bool:
        """Whether the database answers."""
        try:
            with self._engine.connect() as connection:
                connection.execute(sa.select(1))
        except sa.exc.SQLAlchemyError:
            return False
        return True

    def _migrate(self) -> None:
        t.metadata.create_all(self._engine)
        with self._engine.begin() as connection:
            found = connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.name == "schema_version"))
            if found is None:
                insert = self._insert(t.meta).values(name="schema_version", value=str(t.SCHEMA_VERSION))
                connection.execute(insert.on_conflict_do_nothing())
            elif int(found) > t.SCHEMA_VERSION:
                message = f"the ledger has schema {found}, this version knows {t.SCHEMA_VERSION}: upgrade candor"
                raise CandorError(Reason.LEDGER_LOCKED, message)

    # Evaluations

    def create_evaluation(self, row: EvaluationRow) -> EvaluationRow:
        """See ports."""
        values = asdict(row) | {"request_id": row.request_id or None}
        values["created"] = values["updated"] = row.created or time.time()
        with self._begin() as connection:
            insert = self._insert(t.evaluations).values(**values).on_conflict_do_nothing()
            connection.execute(insert)
            clause = t.evaluations.c.id == row.id
            if row.request_id:
                clause = t.evaluations.c.request_id == row.request_id
            found = connection.execute(sa.select(t.evaluations).where(clause)).mappings().one()
        return _evaluation(found)

    def evaluation(self, evaluation_id: str) -> EvaluationRow:
        """See ports."""
        with self._begin() as connection:
            found = (
                connection.execute(sa.select(t.evaluations).where(t.evaluations.c.id == evaluation_id))
                .mappings()
                .first()
            )
        if found is None:
            raise CandorError(Reason.EVALUATION_NOT_FOUND, f"there is no evaluation {evaluation_id!r}")
        return _evaluation(found)

    def evaluations(self, limit: int, before: tuple[float, str] | None = None) -> list[EvaluationRow]:
        """See ports."""
        c = t.evaluations.c
        query = sa.select(t.evaluations).order_by(c.created.desc(), c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(sa.or_(c.created < before[0], sa.and_(c.created == before[0], c.id < before[1])))
        with self._begin() as connection:
            return [_evaluation(row) for row in connection.execute(query).mappings()]

    def unfinished(self, document_digest: str) -> EvaluationRow | None:
        """See ports: not SUCCEEDED, or INVALID (which the same command asks again)."""
        c = t.evaluations.c
        query = (
            sa.select(t.evaluations)
            .where(c.document_digest == document_digest)
            .where(sa.or_(c.state != "SUCCEEDED", c.verdict == "INVALID"))
            .order_by(c.created.desc())
            .limit(1)
        )
        with self._begin() as connection:
            found = connection.execute(query).mappings().first()
        return _evaluation(found) if found else None

    def update_evaluation(self, evaluation_id: str, **changes: object) -> None:
        """See ports."""
        statement = sa.update(t.evaluations).where(t.evaluations.c.id == evaluation_id)
        with self._begin() as connection:
            connection.execute(statement.values(**changes, updated=time.time()))

    def delete_evaluation(self, evaluation_id: str) -> None:
        """See ports. Responses with an empty scope belong to everybody and stay."""
        owned = sa.select(t.responses.c.key).where(
            t.responses.c.evaluation_id == evaluation_id, t.responses.c.scope != ""
        )
        with self._begin() as connection:
            for table in (t.grades, t.scores, t.responses):
                connection.execute(sa.delete(table).where(table.c.key.in_(owned)))
            connection.execute(sa.delete(t.events).where(t.events.c.evaluation_id == evaluation_id))
            connection.execute(sa.delete(t.evaluations).where(t.evaluations.c.id == evaluation_id))

    # Events

    def append_event(self, evaluation_id: str, state: str, message: str, progress: Mapping[str, Any]) -> int:
        """See ports."""
        c = t.events.c
        with self._begin() as connection:
            last = connection.scalar(sa.select(sa.func.max(c.sequence)).where(c.evaluation_id == evaluation_id))
            sequence = (last or 0) + 1
            values = {"evaluation_id": evaluation_id, "sequence": sequence, "time": time.time()}
            connection.execute(
                sa.insert(t.events).values(**values, state=state, message=message, progress=dict(progress))
            )
        return sequence

    def events(self, evaluation_id: str, after: int, limit: int = 1000) -> list[EventRow]:
        """See ports."""
        c = t.events.c
        query = sa.select(c.sequence, c.time, c.state, c.message, c.progress)
        query = query.where(c.evaluation_id == evaluation_id, c.sequence > after).order_by(c.sequence).limit(limit)
        with self._begin() as connection:
            return [EventRow(**row) for row in connection.execute(query).mappings()]

    # Responses

    def put_responses(self, rows: Sequence[ResponseRow]) -> None:
        """See ports."""
        if not rows:
            return
        insert = self._insert(t.responses)
        changes = {name: insert.excluded[name] for name in t.responses.c.keys() if name != "key"}  # noqa: SIM118
        statement = insert.on_conflict_do_update(
            index_elements=["key"], set_=changes, where=t.responses.c.error_reason != ""
        )
        with self._begin() as connection:
            connection.execute(statement, [asdict(row) for row in rows])

    def answered(self, scopes: Iterable[str], not_before: Mapping[str, float]) -> set[bytes]:
        """See ports."""
        c = t.responses.c
        keys: set[bytes] = set()
        with self._begin() as connection:
            for scope in set(scopes):
                query = sa.select(c.key).where(c.scope == scope, c.error_reason == "")
                query = query.where(c.created >= not_before[scope]) if scope in not_before else query
                keys.update(connection.execute(query).scalars())
        return keys

    def failed_keys(self, scopes: Iterable[str]) -> dict[bytes, tuple[str, str]]:
        """See ports."""
        c = t.responses.c
        query = sa.select(c.key, c.error_reason, c.error_message).where(
            c.scope.in_(sorted(set(scopes))), c.error_reason != ""
        )
        with self._begin() as connection:
            return {key: (reason, message) for key, reason, message in connection.execute(query)}

    def responses(self, keys: Sequence[bytes]) -> dict[bytes, ResponseRow]:
        """See ports."""
        query = sa.select(t.responses)
        return {row["key"]: ResponseRow(**row) for row in self._by_key(query, t.responses.c.key, keys)}

    # Grades and scores

    def put_grades(self, rows: Sequence[GradeRow]) -> None:
        """See ports."""
        if not rows:
            return
        insert = self._insert(t.grades)
        changes = {name: insert.excluded[name] for name in t.grades.c.keys() if name not in ("key", "grader_digest")}  # noqa: SIM118
        statement = insert.on_conflict_do_update(index_elements=["key", "grader_digest"], set_=changes)
        with self._begin() as connection:
            connection.execute(statement, [_grade_values(row) for row in rows])

    def grades(self, keys: Sequence[bytes], grader_digest: str) -> dict[bytes, Grade]:
        """See ports."""
        query = sa.select(t.grades).where(t.grades.c.grader_digest == grader_digest)
        return {row["key"]: _grade(row) for row in self._by_key(query, t.grades.c.key, keys)}

    def put_scores(self, scorer: str, rows: Sequence[tuple[bytes, float | None]]) -> None:
        """See ports."""
        if not rows:
            return
        insert = self._insert(t.scores)
        statement = insert.on_conflict_do_update(
            index_elements=["key", "scorer"], set_={"value": insert.excluded.value}
        )
        with self._begin() as connection:
            connection.execute(statement, [{"key": key, "scorer": scorer, "value": value} for key, value in rows])

    def scores(self, keys: Sequence[bytes], scorer: str) -> dict[bytes, float | None]:
        """See ports."""
        query = sa.select(t.scores.c.key, t.scores.c.value).where(t.scores.c.scorer == scorer)
        return {row["key"]: row["value"] for row in self._by_key(query, t.scores.c.key, keys)}

    # Datasets and calibrations

    def put_dataset(self, digest: str, filename: str, data: bytes) -> bool:
        """See ports."""
        insert = self._insert(t.datasets).values(digest=digest, filename=filename, data=data)
        with self._begin() as connection:
            return connection.execute(insert.on_conflict_do_nothing()).rowcount > 0

    def dataset(self, digest: str) -> tuple[str, bytes] | None:
        """See ports."""
        c = t.datasets.c
        with self._begin() as connection:
            row = connection.execute(sa.select(c.filename, c.data).where(c.digest == digest)).first()
        return (row.filename, row.data) if row else None

    def put_calibration(self, judge_digest: str, body: str) -> None:
        """See ports."""
        insert = self._insert(t.calibrations).values(judge_digest=judge_digest, body=body)
        statement = insert.on_conflict_do_update(index_elements=["judge_digest"], set_={"body": insert.excluded.body})
        with self._begin() as connection:
            connection.execute(statement)

    def calibration(self, judge_digest: str) -> str | None:
        """See ports."""
        c = t.calibrations.c
        with self._begin() as connection:
            body: str | None = connection.scalar(sa.select(c.body).where(c.judge_digest == judge_digest))
        return body

    # Helpers

    def _by_key(self, query: sa.Select[Any], column: sa.Column[Any], keys: Sequence[bytes]) -> Iterator[sa.RowMapping]:
        with self._begin() as connection:
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                chunk = keys[start : start + _KEYS_PER_QUERY]
                yield from connection.execute(query.where(column.in_(chunk))).mappings()

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._sqlite else postgresql.insert(table)

    @contextlib.contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.OperationalError as error:
            text = str(error.orig)
            if "disk is full" in text or "No space left" in text:
                message = "the disk of the ledger is full; free space and give the same command again"
                raise CandorError(Reason.LEDGER_FULL, message) from error
            raise CandorError(Reason.LEDGER_LOCKED, f"the ledger cannot be used: {text}") from error


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    # WAL lets a reader look while a run writes; NORMAL survives the death of the process, which is what we promise.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _evaluation(row: sa.RowMapping) -> EvaluationRow:
    values = {name: row[name] for name in _EVALUATION_COLUMNS}
    values["request_id"] = values["request_id"] or ""
    return EvaluationRow(**values)


def _grade_values(row: GradeRow) -> dict[str, object]:
    values = asdict(row.grade)
    usage = values.pop("usage")
    return {"key": row.key, "grader_digest": row.grader_digest, **values, **usage}


def _grade(row: sa.RowMapping) -> Grade:
    values: dict[str, Any] = dict(row)
    usage = Usage(prompt_tokens=values.pop("prompt_tokens"), completion_tokens=values.pop("completion_tokens"))
    del values["key"], values["grader_digest"]
    return Grade(**values, usage=usage)
