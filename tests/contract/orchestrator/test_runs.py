"""What durable runs promise: embedded, and as replicas on SQLite and Postgres."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS

from chassis.errors import CandorError, Reason
from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.dbos_calls import RunsConfig, adopt
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.replicas import Replicas
from services.orchestrator.backends.runs_dbos import DbosRuns

MODES = ("embedded", "sqlite", "postgres")


@dataclass
class Work:
    """What was executed, and how far."""

    begun: list[tuple[str, int]] = field(default_factory=list)
    ended: list[tuple[str, int]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    asked_to_stop: list[str] = field(default_factory=list)
    trouble: list[CandorError] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def execute(self, evaluation_id: str, attempt: int) -> None:
        async with self.news:
            self.begun.append((evaluation_id, attempt))
            self.news.notify_all()
        if self.trouble:
            raise self.trouble.pop()
        await self.go_on.wait()
        async with self.news:
            self.ended.append((evaluation_id, attempt))
            self.news.notify_all()

    async def cancelled(self, evaluation_ids: list[str]) -> list[str]:
        return [name for name in evaluation_ids if name in self.asked_to_stop]

    async def close_cancelled(self, evaluation_id: str) -> None:
        async with self.news:
            self.closed.append(evaluation_id)
            self.news.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(holds)


Open = Callable[..., Awaitable[DbosRuns]]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def databases() -> Iterator[list[Database]]:
    """The ledger as each of the replicas opened it."""
    opened: list[Database] = []
    yield opened
    for database in opened:
        database.close()


@pytest.fixture
async def open_runs(
    mode: str, tmp_path: Path, request: pytest.FixtureRequest, databases: list[Database]
) -> AsyncIterator[Open]:
    url = request.getfixturevalue("fresh_postgres")() if mode == "postgres" else f"sqlite:///{tmp_path}/dbos.db"
    opened: list[DbosRuns] = []

    async def again(work: Work, executor: str = "replica-1", dead_after: float = 60.0, max_runs: int = 4) -> DbosRuns:
        replicas = None
        if mode != "embedded":
            databases.append(Database(url if mode == "postgres" else f"sqlite:///{tmp_path}/ledger.db"))
            replicas = Replicas(databases[-1], executor, dead_after)
        runs = DbosRuns(
            RunsConfig(
                url=url,
                executor_id="" if mode == "embedded" else executor,
                max_runs=max_runs,
                poll_seconds=0.05,
                beat_seconds=0.05,
                retry_seconds=0.01,
            ),
            work.execute,
            cancelled=work.cancelled,
            close_cancelled=work.close_cancelled,
            replicas=replicas,
        )
        opened.append(runs)
        await runs.open()
        return runs

    yield again
    for runs in opened:
        await runs.close()


async def test_a_started_run_is_executed_once(open_runs: Open) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    await runs.start("e1", 1)
    assert await runs.alive("e1", 1)
    work.go_on.set()
    await work.until(lambda: bool(work.ended))
    assert work.begun == [("e1", 1)]
    assert not await runs.alive("e2", 1)


async def test_a_started_run_is_alive_from_its_start_to_its_end(open_runs: Open) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    assert await runs.alive("e1", 1), "whether or not it has begun"
    await work.until(lambda: bool(work.begun))
    assert await runs.alive("e1", 1)
    work.go_on.set()
    await work.until(lambda: bool(work.ended))
    async with asyncio.timeout(30):
        while await runs.alive("e1", 1):  # noqa: ASYNC110 (DBOS writes the end down in a thread of its own)
            await asyncio.sleep(0.01)
    await runs.start("e1", 1)
    assert not await runs.alive("e1", 1)


async def test_a_later_attempt_waits_for_the_earlier(open_runs: Open) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    await runs.start("e1", 2)
    work.go_on.set()
    await work.until(lambda: len(work.ended) == 2)
    assert work.ended == [("e1", 1), ("e1", 2)]


async def test_cancel_waits_for_the_end(open_runs: Open) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    assert await runs.cancel("e1")
    assert not await runs.cancel("e1")
    assert work.ended == []


async def test_a_process_that_stops_leaves_its_run_to_be_taken_up(open_runs: Open, mode: str) -> None:
    first, second = Work(), Work()
    runs = await open_runs(first)
    await runs.start("e1", 1)
    await first.until(lambda: bool(first.begun))
    await runs.close()
    assert first.ended == []

    runs = await open_runs(second)
    second.go_on.set()
    if mode == "embedded":
        await runs.start("e1", 2)
        await second.until(lambda: ("e1", 2) in second.ended)
    else:
        await second.until(lambda: second.ended == [("e1", 1)])


@pytest.mark.parametrize("mode", ["embedded"], indirect=True)
async def test_embedded_a_run_that_nobody_asked_for_spends_nothing(open_runs: Open) -> None:
    first, second = Work(), Work()
    runs = await open_runs(first)
    await runs.start("a", 1)  # names the executor
    await runs.start("b", 1)  # runs under the same
    await first.until(lambda: len(first.begun) == 2)
    await runs.close()

    runs = await open_runs(second)
    second.go_on.set()
    await runs.start("a", 2)
    await second.until(lambda: ("a", 2) in second.ended)
    await runs.start("c", 1)
    await second.until(lambda: ("c", 1) in second.ended)
    assert {name for name, _ in second.begun} == {"a", "c"}


@pytest.mark.parametrize("mode", ["sqlite", "postgres"], indirect=True)
async def test_the_runs_of_a_silent_replica_are_adopted(open_runs: Open) -> None:
    first, second = Work(), Work()
    runs = await open_runs(first, "replica-1")
    await runs.start("e1", 1)
    await first.until(lambda: bool(first.begun))
    await runs.close()
    runs = await open_runs(second, "replica-2", dead_after=0.3)
    second.go_on.set()
    await second.until(lambda: second.ended == [("e1", 1)])


@pytest.mark.parametrize("mode", ["sqlite", "postgres"], indirect=True)
async def test_a_run_that_another_replica_was_told_to_stop_stops(open_runs: Open) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    work.asked_to_stop.append("e1")
    await work.until(lambda: work.closed == ["e1"])
    assert work.ended == []


@pytest.mark.parametrize("mode", ["sqlite"], indirect=True)
async def test_a_replica_tries_again_when_the_ledger_was_out_of_reach(open_runs: Open) -> None:
    work = Work()
    work.trouble = [CandorError(Reason.LEDGER_LOCKED, "the database restarts")] * 2
    runs = await open_runs(work)
    work.go_on.set()
    await runs.start("e1", 1)
    await work.until(lambda: work.ended == [("e1", 1)])
    assert len(work.begun) == 3


@pytest.mark.parametrize("mode", ["embedded"], indirect=True)
async def test_embedded_a_run_ends_when_the_ledger_is_out_of_reach(open_runs: Open) -> None:
    work = Work()
    work.trouble = [CandorError(Reason.LEDGER_FULL, "no room")]
    runs = await open_runs(work)
    work.go_on.set()
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    await runs.start("e1", 2)
    await work.until(lambda: work.ended == [("e1", 2)])
    assert work.begun == [("e1", 1), ("e1", 2)]


def _fails(times: int, error: Exception, then: Callable[..., Any]) -> Callable[..., Any]:
    """Raises so often, and does its work afterwards."""
    left = [error] * times

    def call(*args: Any) -> Any:
        if left:
            raise left.pop()
        return then(*args)

    return call


@pytest.mark.parametrize("mode", ["sqlite"], indirect=True)
async def test_a_beat_that_fails_is_not_the_last(open_runs: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    away = CandorError(Reason.LEDGER_LOCKED, "the database restarts")
    monkeypatch.setattr(Replicas, "beat", _fails(3, away, Replicas.beat))
    monkeypatch.setattr(Replicas, "bury", _fails(3, away, Replicas.bury))
    work.asked_to_stop.append("e1")
    await work.until(lambda: work.closed == ["e1"])


@pytest.mark.parametrize("mode", ["sqlite"], indirect=True)
async def test_a_replica_whose_first_beat_fails_can_be_opened_again(
    open_runs: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    away = CandorError(Reason.LEDGER_LOCKED, "the database restarts")
    monkeypatch.setattr(Replicas, "beat", _fails(1, away, Replicas.beat))
    with pytest.raises(CandorError):
        await open_runs(work)
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    work.asked_to_stop.append("e1")
    await work.until(lambda: work.closed == ["e1"])


@pytest.mark.parametrize("mode", ["sqlite"], indirect=True)
async def test_runs_whose_database_could_not_be_opened_can_be_opened_again(open_runs: Open, tmp_path: Path) -> None:
    work = Work()
    (tmp_path / "dbos.db").mkdir()
    with pytest.raises(CandorError) as caught:
        await open_runs(work)
    assert caught.value.reason is Reason.STORAGE_UNUSABLE
    (tmp_path / "dbos.db").rmdir()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))


@pytest.mark.parametrize("mode", ["sqlite", "postgres"], indirect=True)
async def test_runs_are_adopted_although_the_first_try_fails(open_runs: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Work(), Work()
    runs = await open_runs(first, "replica-1")
    await runs.start("e1", 1)
    await first.until(lambda: bool(first.begun))
    await runs.close()
    lost = sa.exc.OperationalError("", {}, Exception("server closed the connection unexpectedly"))
    monkeypatch.setattr(DBOS, "_recover_pending_workflows", _fails(2, lost, DBOS._recover_pending_workflows))
    await open_runs(second, "replica-2", dead_after=0.3)
    second.go_on.set()
    await second.until(lambda: second.ended == [("e1", 1)])


@pytest.mark.parametrize("mode", ["sqlite", "postgres"], indirect=True)
async def test_taken_for_dead_a_replica_goes_on_with_what_nobody_took(
    open_runs: Open, databases: list[Database]
) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    with databases[0].write() as connection:
        connection.execute(sa.delete(t.replicas))
    async with asyncio.timeout(30):
        while not _listed(databases[0]):  # noqa: ASYNC110 (until it has beaten again)
            await asyncio.sleep(0.01)
    work.go_on.set()
    await work.until(lambda: work.ended == [("e1", 1)])


@pytest.mark.parametrize("mode", ["sqlite", "postgres"], indirect=True)
async def test_taken_for_dead_a_replica_lets_go_of_what_others_took(open_runs: Open, databases: list[Database]) -> None:
    work = Work()
    runs = await open_runs(work, max_runs=1)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    # Takes it from the living, as from one that was paused for long. In the queue it waits for the place that it holds.
    await asyncio.to_thread(Replicas(databases[0], "replica-2", -60.0).bury, adopt)
    await work.until(lambda: len(work.begun) == 2)
    work.go_on.set()
    await work.until(lambda: bool(work.ended))
    assert work.ended == [("e1", 1)], "the first execution was stopped"


@pytest.mark.parametrize("mode", ["sqlite"], indirect=True)
async def test_a_replica_that_a_defect_keeps_from_beating_does_not_go_on(
    open_runs: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    runs = await open_runs(work)
    await runs.start("e1", 1)
    await work.until(lambda: bool(work.begun))
    monkeypatch.setattr(Replicas, "beat", _fails(1, ZeroDivisionError("a defect"), Replicas.beat))
    with pytest.raises(ExceptionGroup) as caught:
        await _open_while_it_can_be(runs)
    assert caught.group_contains(ZeroDivisionError)
    await runs.close()
    assert work.ended == []
    runs = await open_runs(work)
    work.go_on.set()
    await work.until(lambda: work.ended == [("e1", 1)])


async def _open_while_it_can_be(runs: DbosRuns) -> None:
    async with asyncio.timeout(30):
        while True:
            await runs.open()
            await asyncio.sleep(0.01)


def _listed(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(t.replicas)) or 0
