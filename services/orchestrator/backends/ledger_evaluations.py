"""Evaluations and their events in the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from chassis.errors import CandorError, Reason
from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.ports import CLOSED_STATES, EvaluationRow, EventRow

_COLUMNS = tuple(field.name for field in fields(EvaluationRow))


class EvaluationTables:
    """The part of `ports.Ledger` about evaluations; see there."""

    db: Database

    def create_evaluation(self, row: EvaluationRow, *, resume: bool) -> tuple[EvaluationRow, bool]:
        """See ports."""
        values = asdict(row) | {"request_id": row.request_id or None}
        values["created"] = values["updated"] = row.created or time.time()
        with self.db.write() as connection:
            self.db.lock(connection, row.document_digest)
            found = _requested(connection, row.request_id)
            if found is None and resume:
                query = sa.select(t.evaluations).where(t.evaluations.c.document_digest == row.document_digest)
                newest_first = query.order_by(t.evaluations.c.created.desc(), t.evaluations.c.id.desc())
                found = connection.execute(newest_first.limit(1)).mappings().first()
                if found is not None and _evaluation(found).finished:
                    found = None
            if found is None:
                connection.execute(self.db.insert(t.evaluations).values(**values))
            if row.request_id:
                request = {"request_id": row.request_id, "evaluation_id": row.id if found is None else found["id"]}
                connection.execute(self.db.insert(t.requests).values(**request).on_conflict_do_nothing())
            if found is not None:
                return _evaluation(found), False
            stored = connection.execute(sa.select(t.evaluations).where(t.evaluations.c.id == row.id)).mappings().one()
        return _evaluation(stored), True

    def by_request(self, request_id: str) -> EvaluationRow | None:
        """See ports."""
        with self.db.read() as connection:
            found = _requested(connection, request_id)
        return None if found is None else _evaluation(found)

    def evaluation(self, evaluation_id: str) -> EvaluationRow:
        """See ports."""
        query = sa.select(t.evaluations).where(t.evaluations.c.id == evaluation_id)
        with self.db.read() as connection:
            found = connection.execute(query).mappings().first()
        if found is None:
            raise CandorError(Reason.EVALUATION_NOT_FOUND, f"there is no evaluation {evaluation_id!r}")
        return _evaluation(found)

    def evaluations(self, limit: int, before: tuple[float, str] | None = None) -> list[EvaluationRow]:
        """See ports."""
        c = t.evaluations.c
        query = sa.select(t.evaluations).order_by(c.created.desc(), c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(sa.or_(c.created < before[0], sa.and_(c.created == before[0], c.id < before[1])))
        with self.db.read() as connection:
            return [_evaluation(row) for row in connection.execute(query).mappings()]

    def by_document(self, document_digest: str) -> list[EvaluationRow]:
        """See ports."""
        c = t.evaluations.c
        query = sa.select(t.evaluations).where(c.document_digest == document_digest)
        with self.db.read() as connection:
            rows = connection.execute(query.order_by(c.created.desc(), c.id.desc())).mappings()
            return [_evaluation(row) for row in rows]

    def update_evaluation(self, evaluation_id: str, **changes: object) -> None:
        """See ports."""
        statement = sa.update(t.evaluations).where(t.evaluations.c.id == evaluation_id)
        with self.db.write() as connection:
            connection.execute(statement.values(**changes, updated=time.time()))

    def delete_evaluation(self, evaluation_id: str) -> None:
        """See ports. Responses of verifiable identities belong to everybody and stay."""
        c = t.evaluations.c
        with self.db.write() as connection:
            lineage = connection.scalar(sa.select(c.lineage).where(c.id == evaluation_id))
            others = sa.select(c.id).where(c.lineage == lineage, c.id != evaluation_id)
            if lineage and connection.scalar(others.limit(1)) is None:
                # `lineage/arm`; the character after `/` bounds the range, so that the index serves.
                scope = t.responses.c.scope
                owned = sa.select(t.responses.c.key).where(scope >= f"{lineage}/", scope < f"{lineage}0")
                for table in (t.grades, t.scores, t.responses):
                    connection.execute(sa.delete(table).where(table.c.key.in_(owned)))
            for table in (t.events, t.requests):
                connection.execute(sa.delete(table).where(table.c.evaluation_id == evaluation_id))
            connection.execute(sa.delete(t.evaluations).where(c.id == evaluation_id))

    def append_event(
        self,
        evaluation_id: str,
        state: str,
        message: str,
        progress: Mapping[str, Any],
        *,
        by_attempt: int | None = None,
        **changes: object,
    ) -> int:
        """See ports."""
        c = t.events.c
        now = time.time()
        update = sa.update(t.evaluations).where(t.evaluations.c.id == evaluation_id)
        if isinstance(attempt := changes.get("attempt"), int):
            update = update.where(t.evaluations.c.attempt == attempt - 1)
        if by_attempt is not None:
            is_open = t.evaluations.c.state.not_in(CLOSED_STATES)
            update = update.where(t.evaluations.c.attempt == by_attempt, is_open)
        with self.db.write() as connection:
            # The evaluation's row is locked first: two writers of one history take turns.
            values = {"state": state, "progress": dict(progress), "updated": now, **changes}
            if not connection.execute(update.values(**values)).rowcount:
                return 0
            last = connection.scalar(sa.select(sa.func.max(c.sequence)).where(c.evaluation_id == evaluation_id))
            sequence = (last or 0) + 1
            event = {"evaluation_id": evaluation_id, "sequence": sequence, "time": now, "state": state}
            connection.execute(sa.insert(t.events).values(**event, message=message, progress=dict(progress)))
        return sequence

    def events(self, evaluation_id: str, after: int, limit: int = 1000) -> list[EventRow]:
        """See ports."""
        c = t.events.c
        query = sa.select(c.sequence, c.time, c.state, c.message, c.progress)
        query = query.where(c.evaluation_id == evaluation_id, c.sequence > after).order_by(c.sequence).limit(limit)
        with self.db.read() as connection:
            return [EventRow(**row) for row in connection.execute(query).mappings()]

    def last_events(self, evaluation_id: str, count: int) -> list[EventRow]:
        """See ports."""
        c = t.events.c
        query = sa.select(c.sequence, c.time, c.state, c.message, c.progress).where(c.evaluation_id == evaluation_id)
        with self.db.read() as connection:
            newest_first = connection.execute(query.order_by(c.sequence.desc()).limit(count)).mappings()
            return [EventRow(**row) for row in newest_first][::-1]


def _requested(connection: sa.Connection, request_id: str) -> sa.RowMapping | None:
    """The evaluation that this request asked for, or found."""
    if not request_id:
        return None
    c, asked = t.evaluations.c, t.requests.c
    found = sa.select(asked.evaluation_id).where(asked.request_id == request_id).scalar_subquery()
    query = sa.select(t.evaluations).where(sa.or_(c.request_id == request_id, c.id == found))
    return connection.execute(query).mappings().first()


def _evaluation(row: sa.RowMapping) -> EvaluationRow:
    values = {name: row[name] for name in _COLUMNS}
    values["request_id"] = values["request_id"] or ""
    return EvaluationRow(**values)
