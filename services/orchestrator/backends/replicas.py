"""Which replicas are alive: each beats in the ledger, and whoever has been silent too long is dead."""

from __future__ import annotations

import time

import sqlalchemy as sa

from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database


class Replicas:
    """The heartbeats of all replicas on one ledger.

    Args:
        db: The ledger's database.
        executor: Stable name of this replica.
        dead_after_seconds: Silence after which a replica counts as dead.
    """

    def __init__(self, db: Database, executor: str, dead_after_seconds: float) -> None:
        self._db = db
        self._executor = executor
        self._dead_after = dead_after_seconds

    def beat(self) -> bool:
        """Say that this replica lives. False when others took it for dead meanwhile and its runs are no longer its own."""
        now = time.time()
        c = t.replicas.c
        with self._db.write() as connection:
            update = sa.update(t.replicas).where(c.executor == self._executor).values(beat=now)
            if connection.execute(update).rowcount:
                return True
            insert = self._db.insert(t.replicas).values(executor=self._executor, beat=now)
            connection.execute(insert.on_conflict_do_nothing())
        return False

    def bury(self) -> list[str]:
        """Take the dead off the list; each dead replica is returned to one caller only."""
        c = t.replicas.c
        with self._db.write() as connection:
            self._db.lock(connection, "candor replicas")
            silent = sa.and_(c.beat < time.time() - self._dead_after, c.executor != self._executor)
            dead = list(connection.execute(sa.select(c.executor).where(silent)).scalars())
            connection.execute(sa.delete(t.replicas).where(c.executor.in_(dead)))
        return dead

    def leave(self) -> None:
        """This replica stops: others need not wait to take its runs."""
        update = sa.update(t.replicas).where(t.replicas.c.executor == self._executor).values(beat=0.0)
        with self._db.write() as connection:
            connection.execute(update)
