"""The ledger on SQLAlchemy Core: SQLite in WAL mode (embedded) or Postgres (many replicas)."""

from __future__ import annotations

import sqlalchemy as sa

from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_evaluations import EvaluationTables
from services.orchestrator.backends.ledger_responses import ResponseTables
from services.orchestrator.backends.ledger_rewrites import RewriteTable


class SqlLedger(EvaluationTables, ResponseTables, RewriteTable):
    """Implements `ports.Ledger`.

    Args:
        db: Where it is kept.
    """

    def __init__(self, db: Database) -> None:
        self.db = db

    def put_dataset(self, digest: str, filename: str, data: bytes) -> bool:
        """See ports."""
        insert = self.db.insert(t.datasets).values(digest=digest, filename=filename, data=data)
        fresh = insert.on_conflict_do_nothing().returning(t.datasets.c.digest)
        with self.db.write() as connection:
            return connection.scalar(fresh) is not None

    def dataset(self, digest: str) -> tuple[str, bytes] | None:
        """See ports."""
        c = t.datasets.c
        with self.db.read() as connection:
            row = connection.execute(sa.select(c.filename, c.data).where(c.digest == digest)).first()
        return (row.filename, bytes(row.data)) if row else None

    def put_calibration(self, judge_digest: str, body: str) -> None:
        """See ports."""
        insert = self.db.insert(t.calibrations).values(judge_digest=judge_digest, body=body)
        statement = insert.on_conflict_do_update(index_elements=["judge_digest"], set_={"body": insert.excluded.body})
        with self.db.write() as connection:
            connection.execute(statement)

    def calibration(self, judge_digest: str) -> str | None:
        """See ports."""
        c = t.calibrations.c
        with self.db.read() as connection:
            body: str | None = connection.scalar(sa.select(c.body).where(c.judge_digest == judge_digest))
        return body
