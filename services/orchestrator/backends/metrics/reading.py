"""Reads from the ledger where every family stands: bounded, cached, and never waited for longer than a scrape can wait.

What is closed does not change, so only evaluations that are new or under way are read again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import sqlalchemy as sa
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError
from chassis.logs import get_logger
from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.domain.standing.families import OTHER, Entry, Family, families
from services.orchestrator.domain.standing.findings import Findings, findings
from services.orchestrator.ports import CLOSED_STATES, GraderInfo
from services.orchestrator.service.judging import judge_digest

MOST = 10_000
"""Evaluations that are looked at, the newest."""
_PER_QUERY = 200
_FRESH_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0
_STATES = {"PENDING": "queued", "RUNNING": "running"}
_BOUNDS = {"estimate": "value", "lower": "lower", "upper": "upper"}
_GRADER_FIELDS = frozenset(found.name for found in fields(GraderInfo))
_log = get_logger("metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What was read last; nothing at first. `known`: it could be read the last time it was tried.

    Attributes:
        findings: Numbers of the last verdict, by family.
        agreement: Calibrated agreement of the last verdict's judge with people, by family: estimate, lower, upper.
    """

    known: bool = False
    families: Mapping[str, Family] = field(default_factory=dict)
    findings: Mapping[str, Findings] = field(default_factory=dict)
    agreement: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class LedgerReading:
    """Keeps a View.

    Args:
        ledger: Where evaluations are.
        listed: Families with metrics of their own.
        fresh_seconds: A View of this age is good enough.
        patience_seconds: Longest wait for a newer one; then the last is given once more.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        ledger: SqlLedger,
        listed: Collection[str],
        *,
        fresh_seconds: float = _FRESH_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._listed = tuple(name for name in listed if name != OTHER)
        self._fresh = fresh_seconds
        self._patience = patience_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: threading.Thread | None = None
        self._read_at = float("-inf")
        self._view = View()
        self._entries: dict[str, Entry] = {}
        self._findings: dict[tuple[str, int], Findings] = {}

    def view(self) -> View:
        """The newest View. From any thread."""
        with self._lock:
            reading = self._reading
            if reading is None and self._clock() - self._read_at >= self._fresh:
                # Not the scrape's own thread: it goes on where a scrape cannot wait any longer.
                reading = self._reading = threading.Thread(target=self._refresh, name="metrics", daemon=True)
                reading.start()
        if reading is not None:
            reading.join(self._patience)
        return self._view

    def _refresh(self) -> None:
        view = replace(self._view, known=False)
        try:
            view = self._read()
        except CandorError as error:
            _log.warning("the ledger cannot be read for metrics", reason=error.reason.name)
        finally:
            self._view = view
            with self._lock:
                self._read_at = self._clock()
                self._reading = None

    def _read(self) -> View:
        self._update()
        found = families(self._entries.values(), self._listed)
        last = {name: family.last for name, family in found.items() if family.last is not None}
        kept = {(entry.id, entry.attempt) for entry in last.values()}
        self._findings = {key: value for key, value in self._findings.items() if key in kept}
        agreement = {name: self._agreement(entry) for name, entry in last.items() if entry.judge_digest}
        return View(
            known=True,
            families=found,
            findings={name: self._finding(entry) for name, entry in last.items()},
            agreement={name: value for name, value in agreement.items() if value},
        )

    def _update(self) -> None:
        c = t.evaluations.c
        newest = sa.select(c.id, c.state, c.attempt).order_by(c.created.desc(), c.id.desc()).limit(MOST)
        with self._ledger.db.read() as connection:
            rows = connection.execute(newest).all()
        entries = {row.id: self._entries[row.id] for row in rows if row.id in self._entries}
        changed = [row.id for row in rows if row.state not in CLOSED_STATES or not _same(entries.get(row.id), row)]
        for entry in self._entries_of(changed):
            entries[entry.id] = entry
        self._entries = entries

    def _entries_of(self, ids: Sequence[str]) -> Iterator[Entry]:
        c = t.evaluations.c
        columns = (c.id, c.spec, c.state, c.attempt, c.verdict, c.progress, c.pinned, c.created, c.updated)
        for start in range(0, len(ids), _PER_QUERY):
            query = sa.select(*columns).where(c.id.in_(ids[start : start + _PER_QUERY]))
            with self._ledger.db.read() as connection:
                yield from map(_entry, connection.execute(query).all())

    def _finding(self, entry: Entry) -> Findings:
        key = (entry.id, entry.attempt)
        if key not in self._findings:
            c = t.evaluations.c
            with self._ledger.db.read() as connection:
                body = connection.scalar(sa.select(c.verdict_json).where(c.id == entry.id))
            self._findings[key] = findings(json.loads(body or "{}"))
        return self._findings[key]

    def _agreement(self, entry: Entry) -> Mapping[str, float]:
        body = self._ledger.calibration(entry.judge_digest)
        found: dict[str, Any] = json.loads(body) if body else {}
        agreement = (found.get("left_open") or found).get("overall", {}).get("agreement", {})
        return {bound: agreement[name] for bound, name in _BOUNDS.items() if name in agreement}


def _same(entry: Entry | None, row: Any) -> bool:
    return entry is not None and (entry.state, entry.attempt) == (_state(row.state, row.attempt), row.attempt)


def _state(state: str, attempt: int) -> str:
    return _STATES.get(state, state.lower()) if attempt else ""


def _entry(row: Any) -> Entry:
    grader = {name: value for name, value in row.pinned.get("grader", {}).items() if name in _GRADER_FIELDS}
    judge = grader.get("judge_model", "")
    return Entry(
        id=row.id,
        attempt=row.attempt,
        name=evaluation_pb2.EvaluationSpec.FromString(row.spec).name,
        state=_state(row.state, row.attempt),
        verdict=row.verdict,
        causes=tuple(row.pinned.get("causes", ())),
        judge=judge,
        judge_digest=judge_digest(GraderInfo(**grader)) if judge else "",
        done=row.progress.get("responses_done", 0),
        reused=row.progress.get("reused", 0),
        planned=row.progress.get("responses_total", 0),
        spend=row.progress.get("spend") or 0.0,
        created=row.created,
        updated=row.updated,
    )
