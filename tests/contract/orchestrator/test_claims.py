"""Commands that share a ledger: each evaluation is run by one of them, and by no replica beside it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.claims import Claims
from services.orchestrator.backends.dbos_calls import RunsConfig
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.replicas import Replicas
from services.orchestrator.backends.runs_dbos import DbosRuns

_LOSE_LOCKS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM (SELECT DISTINCT pid FROM pg_locks "
    "WHERE locktype = 'advisory' AND pid <> pg_backend_pid() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS holders"
)


@pytest.fixture
def databases(fresh_postgres: Callable[[], str]) -> Iterator[list[Database]]:
    """One ledger as two processes opened it."""
    url = fresh_postgres()
    opened = [Database(url), Database(url)]
    yield opened
    for database in opened:
        database.close()


@pytest.fixture
def pair(databases: list[Database]) -> Iterator[tuple[Claims, Claims]]:
    first, second = (Claims(database, 60.0) for database in databases)
    yield first, second
    first.close()
    second.close()


def runs_of(claims: Claims, replicas: Replicas | None = None, patience: float = 0.0) -> DbosRuns:
    async def nothing(*_: Any) -> Any:
        return []

    config = RunsConfig(url="sqlite://", beat_seconds=0.02, claim_seconds=patience)
    return DbosRuns(config, nothing, cancelled=nothing, close_cancelled=nothing, replicas=replicas, claims=claims)


def test_an_evaluation_is_one_process_s_until_it_ends(pair: tuple[Claims, Claims]) -> None:
    first, second = pair
    assert first.take("a")
    assert first.take("a"), "again is no harm"
    assert not second.take("a")
    assert second.take("b"), "another evaluation is free"
    assert (first.elsewhere("a"), second.elsewhere("a")) == (False, True)
    assert not second.elsewhere("c")
    assert first.take("c"), "asking takes nothing"
    first.close()
    assert second.take("a")


def test_what_is_lost_with_the_connection_is_taken_again(
    pair: tuple[Claims, Claims], databases: list[Database]
) -> None:
    first, second = pair
    assert first.take("a")
    assert first.take("b")
    assert first.keep() == []
    with databases[1].read() as connection:
        connection.execute(sa.text(_LOSE_LOCKS))
    assert second.take("b"), "it is free while the first is away"
    assert first.keep() == ["b"]
    assert not second.take("a")
    assert first.elsewhere("b")


async def test_a_command_waits_for_one_that_ends_and_not_for_one_that_runs_on(pair: tuple[Claims, Claims]) -> None:
    first, second = runs_of(pair[0]), runs_of(pair[1], patience=30)
    await first.claim("a")
    waiting = asyncio.create_task(second.claim("a"))
    assert await second.alive("a", 1)
    assert not await first.alive("a", 1), "it is our own, and nothing runs here"
    await first.close()
    await waiting
    with pytest.raises(CandorError, match="evaluation a is being run by another command") as caught:
        await runs_of(pair[0]).claim("a")
    assert caught.value.reason is Reason.LEDGER_LOCKED
    assert caught.value.retryable


async def test_replicas_and_commands_keep_out_of_each_other_s_way(
    pair: tuple[Claims, Claims], databases: list[Database]
) -> None:
    command, beside = pair
    replicas = Replicas(databases[1], "orchestrator-0", 60.0)
    replica = runs_of(beside, replicas)
    await runs_of(command).claim("a")
    with pytest.raises(CandorError, match="being run by another command"):
        await replica.claim("a")
    await replica.claim("b")
    replicas.beat()
    with pytest.raises(CandorError, match=r"a running orchestrator \(orchestrator-0\): give --orchestrator") as caught:
        await runs_of(command).claim("c")
    assert caught.value.reason is Reason.LEDGER_UNUSABLE
    replicas.leave()
    await runs_of(command).claim("c")
