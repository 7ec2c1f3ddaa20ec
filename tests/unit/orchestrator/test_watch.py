"""Watching: every event once, in order, and an end."""

import asyncio
from typing import Any

import pytest

from chassis.errors import CandorError
from services.orchestrator.ports import EvaluationRow
from services.orchestrator.service import queries
from services.orchestrator.service.queries import read_token, write_token


@pytest.fixture
def ledger(suite: Any) -> Any:
    suite.ledger.create_evaluation(
        EvaluationRow(id="e1", lineage="e1", spec=b"", document_digest="d", attempt=1), resume=False
    )
    return suite.ledger


async def _collect(suite: Any, after: int = 0) -> list[int]:
    return [event.sequence async for event in queries.watch(suite.world, "e1", after)]


async def test_past_events_come_first_and_the_stream_ends_with_the_closing_one(suite: Any, ledger: Any) -> None:
    for state in ("PENDING", "RUNNING", "SUCCEEDED"):
        ledger.append_event("e1", state, "", {})
    assert await _collect(suite) == [1, 2, 3]
    assert await _collect(suite, after=2) == [3]
    assert await _collect(suite, after=99) == []


async def test_the_last_events_of_what_still_runs_come_without_waiting(suite: Any, ledger: Any) -> None:
    for message in ("one", "two", "three"):
        ledger.append_event("e1", "RUNNING", message, {})
    assert [event.message for event in await queries.last_events(suite.world, "e1", 2)] == ["two", "three"]
    assert len(await queries.last_events(suite.world, "e1", 500)) == 3
    with pytest.raises(CandorError, match="out of range"):
        await queries.last_events(suite.world, "e1", 501)
    with pytest.raises(CandorError, match="no evaluation 'e2'"):
        await queries.last_events(suite.world, "e2", 2)


async def test_a_watcher_is_woken_by_news(suite: Any, ledger: Any) -> None:
    ledger.append_event("e1", "RUNNING", "", {})
    seen: list[int] = []
    first = asyncio.Event()

    async def watch() -> None:
        async for event in queries.watch(suite.world, "e1", 0):
            seen.append(event.sequence)
            first.set()

    watching = asyncio.create_task(watch())
    await first.wait()
    ledger.append_event("e1", "FAILED", "stopped", {})
    suite.world.bell.ring("e1")
    await watching
    assert seen == [1, 2]


async def test_a_run_that_was_taken_up_again_is_watched_past_its_earlier_end(suite: Any, ledger: Any) -> None:
    for state in ("RUNNING", "FAILED", "PENDING", "RUNNING"):
        ledger.append_event("e1", state, "", {})
    seen: list[int] = []

    async def watch() -> None:
        async for event in queries.watch(suite.world, "e1", 0):
            seen.append(event.sequence)
            if event.sequence == 4:
                ledger.append_event("e1", "SUCCEEDED", "PASS", {})

    await watch()
    assert seen == [1, 2, 3, 4, 5]


async def test_more_events_than_one_read(suite: Any, ledger: Any) -> None:
    for _ in range(1203):
        ledger.append_event("e1", "RUNNING", "", {})
    ledger.append_event("e1", "CANCELLED", "", {})
    assert await _collect(suite) == list(range(1, 1205))


@pytest.mark.parametrize("token", ["", "?", "e30=", write_token("other", 1), write_token("list", 1, 2)])
def test_a_foreign_page_token_is_refused(token: str) -> None:
    with pytest.raises(CandorError) as caught:
        read_token(token, "list", 1)
    assert caught.value.violations[0].field == "page_token"
    assert read_token(write_token("list", 1.5), "list", 1) == [1.5]
