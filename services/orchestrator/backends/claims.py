"""Which evaluations a command runs by itself, on a ledger that other commands use at the same time.

A claim is a session lock of Postgres: it goes with its connection, however the process ends. On SQLite the state folder's
lock does the same for all evaluations at once.
"""

from __future__ import annotations

import threading
import time

import sqlalchemy as sa

from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_errors import translated

_CLASS = "candor evaluations"
# A machine that fell silent loses its claims within a minute; sockets of the same machine need none of it.
_SESSION = ("SET tcp_keepalives_idle = 20", "SET tcp_keepalives_interval = 10", "SET tcp_keepalives_count = 3")


class Claims:
    """The claims of this process. Blocking, safe to call from several threads; raises CandorError as the ledger does.

    Args:
        db: The ledger's database, Postgres.
        dead_after_seconds: Silence after which a replica counts as dead.
    """

    def __init__(self, db: Database, dead_after_seconds: float) -> None:
        self._db = db
        self._dead_after = dead_after_seconds
        self._guard = threading.Lock()
        self._connection: sa.Connection | None = None
        self._mine: set[str] = set()

    def take(self, evaluation_id: str) -> bool:
        """Claim an evaluation until `close`. False when another process has it."""
        with self._guard, translated():
            if evaluation_id not in self._mine and self._lock(evaluation_id):
                self._mine.add(evaluation_id)
            return evaluation_id in self._mine

    def elsewhere(self, evaluation_id: str) -> bool:
        """Whether another process has it."""
        with self._guard, translated():
            if evaluation_id in self._mine:
                return False
            free = self._lock(evaluation_id)
            if free:
                self._session().execute(sa.select(sa.func.pg_advisory_unlock(*_key(evaluation_id))))
            return not free

    def keep(self) -> list[str]:
        """Take again what was lost with the connection; returns what others took meanwhile, which is no longer ours."""
        with self._guard, translated():
            try:
                self._session().execute(sa.select(1))
            except sa.exc.DBAPIError:
                self._drop()
                lost = [name for name in sorted(self._mine) if not self._lock(name)]
                self._mine.difference_update(lost)
                return lost
        return []

    def replicas(self) -> list[str]:
        """Replicas of an orchestrator that live on this ledger."""
        c = t.replicas.c
        query = sa.select(c.executor).where(c.beat >= time.time() - self._dead_after).order_by(c.executor)
        with self._db.read() as connection:
            return list(connection.scalars(query))

    def close(self) -> None:
        """Let go of everything."""
        with self._guard:
            self._drop()
            self._mine.clear()

    def _lock(self, evaluation_id: str) -> bool:
        return bool(self._session().scalar(sa.select(sa.func.pg_try_advisory_lock(*_key(evaluation_id)))))

    def _session(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            for statement in _SESSION:
                self._connection.execute(sa.text(statement))
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # closed, not pooled: the locks must go
            self._connection.close()
            self._connection = None


def _key(evaluation_id: str) -> tuple[sa.Function[int], sa.Function[int]]:
    return sa.func.hashtext(_CLASS), sa.func.hashtext(evaluation_id)
