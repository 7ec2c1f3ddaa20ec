"""Get, list, watch, cancel and delete evaluations."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.ports import CLOSED_STATES, EvaluationRow, EventRow, Runs
from services.orchestrator.service.world import World, blocking

_POLL_SECONDS = 0.5
_EVENTS_PER_READ = 500
MOST_PER_PAGE = 1000


async def get(world: World, evaluation_id: str) -> EvaluationRow:
    """One evaluation. Raises CandorError EVALUATION_NOT_FOUND."""
    return await blocking(world.ledger.evaluation, evaluation_id)


@dataclass(frozen=True, slots=True)
class Page:
    """Evaluations, newest first; `next_token` is empty on the last page."""

    rows: list[EvaluationRow]
    next_token: str


async def list_evaluations(world: World, page_size: int, page_token: str) -> Page:
    """A page of evaluations. Raises CandorError INVALID_REQUEST (size, token)."""
    size = checked_size(page_size, 50)
    before = None
    if page_token:
        created, last = read_token(page_token, "evaluations", 2)
        before = (float(str(created)), str(last))
    rows = await blocking(world.ledger.evaluations, size + 1, before)
    if len(rows) <= size:
        return Page(rows, "")
    last_row = rows[size - 1]
    return Page(rows[:size], write_token("evaluations", last_row.created, last_row.id))


def checked_size(page_size: int, default: int) -> int:
    """Entries of a page; 0 takes the default. Raises CandorError INVALID_REQUEST."""
    if page_size < 0 or page_size > MOST_PER_PAGE:
        problem = FieldViolation("page_size", f"is {page_size}; must be 0 (default {default}) to {MOST_PER_PAGE}")
        raise invalid("the page size is out of range", [problem])
    return page_size or default


def write_token(kind: str, *values: object) -> str:
    """An opaque page token."""
    return base64.urlsafe_b64encode(json.dumps([kind, *values]).encode()).decode()


def read_token(token: str, kind: str, count: int) -> list[object]:
    """The values of a page token of this kind. Raises CandorError INVALID_REQUEST."""
    try:
        found = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        found = None
    if not isinstance(found, list) or len(found) != count + 1 or found[0] != kind:
        problem = FieldViolation("page_token", "is not one that this list gave out; start without it")
        raise invalid("the page token is not valid", [problem])
    return found[1:]


async def watch(world: World, evaluation_id: str, after: int) -> AsyncIterator[EventRow]:
    """Events after a sequence number as they come, until the one that closes the evaluation.

    Raises:
        CandorError: EVALUATION_NOT_FOUND; what the ledger said, when the run ended because nothing can be recorded.
    """
    sequence = max(after, 0)
    while True:
        row = await blocking(world.ledger.evaluation, evaluation_id)
        events = await blocking(world.ledger.events, evaluation_id, sequence, _EVENTS_PER_READ)
        for event in events:
            sequence = event.sequence
            yield event
        if len(events) == _EVENTS_PER_READ:
            continue
        # The row is read before the events: closed and nothing new means that nothing is to come.
        if row.state in CLOSED_STATES:
            return
        if evaluation_id in world.unrecorded:
            raise world.unrecorded[evaluation_id]
        if not events:
            await world.bell.wait(evaluation_id, _POLL_SECONDS)


async def last_events(world: World, evaluation_id: str, count: int) -> list[EventRow]:
    """The newest events that there are. Raises CandorError EVALUATION_NOT_FOUND, INVALID_REQUEST (count)."""
    if not 0 < count <= _EVENTS_PER_READ:
        problem = FieldViolation("last", f"is {count}; must be 0 (follow) to {_EVENTS_PER_READ}")
        raise invalid("the number of events is out of range", [problem])
    row = await blocking(world.ledger.evaluation, evaluation_id)
    return await blocking(world.ledger.last_events, row.id, count)


async def cancel(world: World, runs: Runs, evaluation_id: str) -> EvaluationRow:
    """Stop asking; what was answered stays. An evaluation that has ended is left as it is."""
    row = await blocking(world.ledger.evaluation, evaluation_id)
    if row.state in CLOSED_STATES:
        return row
    await blocking(world.ledger.update_evaluation, evaluation_id, cancel=True)
    if await runs.cancel(evaluation_id) or not await runs.alive(evaluation_id, row.attempt):
        await mark_cancelled(world, evaluation_id)
    return await blocking(world.ledger.evaluation, evaluation_id)


async def mark_cancelled(world: World, evaluation_id: str) -> None:
    """Close an evaluation whose run has stopped; one that closed by itself meanwhile is left alone."""
    row = await blocking(world.ledger.evaluation, evaluation_id)
    if row.state in CLOSED_STATES:
        return
    reason = "cancelled; the same document goes on from here"
    await blocking(
        world.ledger.append_event,
        evaluation_id,
        "CANCELLED",
        reason,
        row.progress,
        by_attempt=row.attempt,
        reason=reason,
        cancel=False,
    )
    world.bell.ring(evaluation_id)


async def delete(world: World, runs: Runs, evaluation_id: str) -> None:
    """Remove an evaluation, its files, and the replies that only it owns.

    Raises:
        CandorError: EVALUATION_NOT_FOUND, EVALUATION_RUNNING.
    """
    row = await blocking(world.ledger.evaluation, evaluation_id)
    if row.active and await runs.alive(evaluation_id, row.attempt):
        raise CandorError(Reason.EVALUATION_RUNNING, f"evaluation {evaluation_id} is running; cancel it first")
    await blocking(world.artifacts.delete, evaluation_id)
    await blocking(world.ledger.delete_evaluation, evaluation_id)
