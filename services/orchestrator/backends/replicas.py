"""Which replicas are alive: each beats in the ledger, and whoever has been silent too long is dead."""

from __future__ import annotations

import time
from collections.abc import Callable

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
        """Say that this replica lives. False when it was silent for so long that others may have taken its runs."""
        now = time.time()
        c = t.replicas.c
        with self._db.write() as connection:
            # Waits for a replica that is taking our runs just now.
            query = sa.select(c.beat).where(c.executor == self._executor).with_for_update()
            last = connection.scalar(query)
            insert = self._db.insert(t.replicas).values(executor=self._executor, beat=now)
            connection.execute(insert.on_conflict_do_update(index_elements=["executor"], set_={"beat": now}))
        return last is not None and last >= now - self._dead_after

    def bury(self, adopt: Callable[[list[str]], None]) -> list[str]:
        """Take the dead off the list once their runs are adopted; when that fails, they stay on it for the next try.

        Args:
            adopt: Takes over the runs of these replicas. Called by one replica at a time.
        """
        c = t.replicas.c
        silent = sa.and_(c.beat < time.time() - self._dead_after, c.executor != self._executor)
        with self._db.write() as connection:
            self._db.lock(connection, "candor replicas")
            dead = list(connection.execute(sa.delete(t.replicas).where(silent).returning(c.executor)).scalars())
            if dead:
                adopt(dead)
        return dead

    def leave(self) -> None:
        """This replica stops: others need not wait to take its runs."""
        update = sa.update(t.replicas).where(t.replicas.c.executor == self._executor).values(beat=0.0)
        with self._db.write() as connection:
            connection.execute(update)
