"""Responses, grades and scores in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.ports import Grade, GradeRow, Outcomes, ResponseRow, Usage

_ROWS_PER_FETCH = 5000
# What a grade cost comes as columns of its own.
_GRADE = Grade._fields[: Grade._fields.index("usage")]
_FREE = Usage()


class ResponseTables:
    """The part of `ports.Ledger` about responses; see there."""

    db: Database

    def put_responses(self, rows: Sequence[ResponseRow]) -> None:
        """See ports."""
        if not rows:
            return
        insert = self.db.insert(t.responses)
        changes = {column.name: insert.excluded[column.name] for column in t.responses.c if column.name != "key"}
        statement = insert.on_conflict_do_update(
            index_elements=["key"], set_=changes, where=t.responses.c.error_reason != ""
        )
        values = [_response_values(row) for row in rows]
        with self.db.write() as connection:
            connection.execute(statement, values)

    def outcomes(self, scope: str, grader_digest: str) -> Iterator[Outcomes]:
        """See ports."""
        r, g = t.responses.c, t.grades.c
        joined = t.responses.outerjoin(t.grades, sa.and_(g.key == r.key, g.grader_digest == grader_digest))
        query = (
            sa.select(
                r.key,
                r.evaluation_id,
                r.error_reason,
                r.chars,
                r.finish_reason,
                r.prompt_tokens,
                r.completion_tokens,
                r.created,
                sa.func.coalesce(g.verdict, ""),
                g.adopts,
                sa.func.coalesce(g.decided_by, ""),
                sa.func.coalesce(g.prompt_tokens, 0),
                sa.func.coalesce(g.completion_tokens, 0),
            )
            .select_from(joined)
            .where(r.scope == scope)
        )
        for rows in self.db.stream(query, _ROWS_PER_FETCH):
            yield Outcomes._make(zip(*rows, strict=True))

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """See ports."""
        c = t.responses.c
        return {row.key for row in self.db.by_key(sa.select(c.key).where(c.error_reason == ""), c.key, keys)}

    def responses(self, keys: Sequence[bytes]) -> dict[bytes, ResponseRow]:
        """See ports."""
        c = t.responses.c
        rows = self.db.by_key(sa.select(*(c[name] for name in ResponseRow._fields)), c.key, keys)
        return {row.key: row for row in map(ResponseRow._make, rows)}

    def put_grades(self, rows: Sequence[GradeRow]) -> None:
        """See ports."""
        if not rows:
            return
        insert = self.db.insert(t.grades)
        keys = ("key", "grader_digest")
        changes = {column.name: insert.excluded[column.name] for column in t.grades.c if column.name not in keys}
        statement = insert.on_conflict_do_update(index_elements=list(keys), set_=changes)
        values = [_grade_values(row) for row in rows]
        with self.db.write() as connection:
            connection.execute(statement, values)

    def grades(self, keys: Sequence[bytes], grader_digest: str) -> dict[bytes, Grade]:
        """See ports."""
        c = t.grades.c
        columns = (*(c[name] for name in _GRADE), c.prompt_tokens, c.completion_tokens, c.key)
        query = sa.select(*columns).where(c.grader_digest == grader_digest)
        found = {}
        for *values, prompt, completion, key in map(tuple, self.db.by_key(query, c.key, keys)):
            usage = Usage(prompt_tokens=prompt, completion_tokens=completion) if prompt or completion else _FREE
            found[key] = Grade._make((*values, usage))
        return found

    def put_scores(self, scorer: str, rows: Sequence[tuple[bytes, float | None]]) -> None:
        """See ports."""
        if not rows:
            return
        insert = self.db.insert(t.scores)
        changes = {"value": insert.excluded.value}
        statement = insert.on_conflict_do_update(index_elements=["key", "scorer"], set_=changes)
        values = [{"key": key, "scorer": scorer, "value": value} for key, value in rows]
        with self.db.write() as connection:
            connection.execute(statement, values)

    def scores(self, keys: Sequence[bytes], scorer: str) -> dict[bytes, float | None]:
        """See ports."""
        query = sa.select(t.scores.c.key, t.scores.c.value).where(t.scores.c.scorer == scorer)
        return {row.key: row.value for row in self.db.by_key(query, t.scores.c.key, keys)}


def _response_values(row: ResponseRow) -> dict[str, object]:
    """Columns as they fit every database: Postgres refuses NUL in text and values longer than their column."""
    return {
        "key": row.key,
        "scope": row.scope,
        "evaluation_id": row.evaluation_id,
        "chars": len(row.text),
        "text": storable(row.text),
        "finish_reason": storable(row.finish_reason)[:32],
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "latency_seconds": row.latency_seconds,
        "attempts": row.attempts,
        "reported_model": storable(row.reported_model)[:256],
        "error_reason": row.error_reason,
        "error_message": storable(row.error_message),
        "created": row.created,
    }


def storable(text: str) -> str:
    """Text as every database takes it."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}") if "\x00" in text else text


def _grade_values(row: GradeRow) -> dict[str, object]:
    grade = row.grade
    return {
        "key": row.key,
        "grader_digest": row.grader_digest,
        "verdict": grade.verdict,
        "adopts": grade.adopts,
        "decided_by": grade.decided_by,
        "rule": storable(grade.rule),
        "final_claim": storable(grade.final_claim),
        "judge_raw": storable(grade.judge_raw),
        "judge_model": storable(grade.judge_model)[:256],
        "prompt_tokens": grade.usage.prompt_tokens,
        "completion_tokens": grade.usage.completion_tokens,
    }
