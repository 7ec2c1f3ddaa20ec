"""Rewrites in the ledger: what was bought once is not bought again."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_responses import storable
from services.orchestrator.domain.making.rewrites import RewriteRow


class RewriteTable:
    """Implements `ports.making.Rewrites`."""

    db: Database

    def put_rewrites(self, rewriter_digest: str, rows: Sequence[RewriteRow]) -> None:
        """See ports."""
        if not rows:
            return
        statement = self.db.insert(t.rewrites).on_conflict_do_nothing()
        values = [{**row._asdict(), "rewriter_digest": rewriter_digest, **_storable(row)} for row in rows]
        with self.db.write() as connection:
            connection.execute(statement, values)

    def rewrites(self, rewriter_digest: str, keys: Sequence[bytes]) -> dict[bytes, RewriteRow]:
        """See ports."""
        c = t.rewrites.c
        columns = [c[name] for name in RewriteRow._fields]
        query = sa.select(*columns).where(c.rewriter_digest == rewriter_digest)
        rows = (RewriteRow._make(row) for row in self.db.by_key(query, c.key, keys))
        return {row.key: row._replace(failed=tuple((name, reason) for name, reason in row.failed)) for row in rows}

    def rewriting_spend(self, evaluation_id: str) -> float:
        """See ports."""
        c = t.rewrites.c
        with self.db.read() as connection:
            total = connection.scalar(sa.select(sa.func.sum(c.spend)).where(c.evaluation_id == evaluation_id))
        return float(total or 0.0)


def _storable(row: RewriteRow) -> dict[str, object]:
    return {
        "text": storable(row.text),
        "reported_model": storable(row.reported_model)[:256],
        "failed": [[name, storable(reason)] for name, reason in row.failed],
    }
