"""CreateEvaluation: start a document, or go on with it, or look at its replies under another gate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.domain.spec import Spec, document_digest, gate_digest
from services.orchestrator.ports import EvaluationRow, Runs
from services.orchestrator.service.lineage import placed
from services.orchestrator.service.power import Power, power_of
from services.orchestrator.service.prepare import Prepared, check, prepare
from services.orchestrator.service.world import World, blocking

RESUME = ("auto", "new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a caller asked for.

    Attributes:
        spec: The document with its defaults.
        data: The document as it is stored.
        resume: `auto` or `new`.
        resume_id: Go on with this evaluation; empty: see `resume`.
        caller: Who asks; empty where callers have no names.
        trace: The span of the call; empty without traces.
    """

    spec: Spec
    data: bytes
    request_id: str = ""
    resume: str = "auto"
    resume_id: str = ""
    allow_underpowered: bool = False
    limit: int = 0
    caller: str = ""
    trace: str = ""


async def create(world: World, runs: Runs, order: Order) -> EvaluationRow:
    """Start an evaluation, or go on with one.

    Raises:
        CandorError: BAD_DOCUMENT, BAD_DATASET, NO_TARGET, UNDERPOWERED, DOCUMENT_CHANGED, EVALUATION_RUNNING,
            EVALUATION_NOT_FOUND.
    """
    _check_order(order)
    check(world, order.spec, order.limit)
    fresh = _row(world, order)
    async with world.starting:
        if order.resume_id:
            return await _resume(world, runs, await _named(world, order, fresh), fresh)
        return await _find_or_start(world, runs, order, fresh)


async def _find_or_start(world: World, runs: Runs, order: Order, fresh: EvaluationRow) -> EvaluationRow:
    earlier = await blocking(world.ledger.by_document, fresh.document_digest)
    known = await blocking(world.ledger.by_request, order.request_id)
    resumable = [row for row in earlier[:1] if order.resume == "auto" and not row.finished]
    if known is None and not resumable:
        await _refuse_hopeless(await prepare(world, order.spec, order.limit), order)
        if order.resume == "auto":
            fresh = placed(fresh, earlier)
    row, created = await blocking(world.ledger.create_evaluation, fresh, resume=order.resume == "auto")
    if created:
        await runs.claim(row.id)
        return await _start(world, runs, row, "created")
    if row.document_digest != fresh.document_digest:
        problem = FieldViolation("request_id", f"belongs to evaluation {row.id} of another document; take a fresh one")
        raise invalid("the request id is taken", [problem])
    return await _resume(world, runs, row, fresh)


def _check_order(order: Order) -> None:
    problems = []
    if order.resume not in RESUME:
        problems.append(FieldViolation("resume", f"{order.resume!r} is unknown; use {' or '.join(RESUME)}"))
    if len(order.request_id) > 128:
        problems.append(FieldViolation("request_id", "is longer than 128 characters"))
    if problems:
        raise invalid("the request has bad fields", problems)


def _row(world: World, order: Order) -> EvaluationRow:
    new = world.new_id()
    return EvaluationRow(
        id=new,
        lineage=new,
        spec=order.data,
        document_digest=document_digest(order.spec, order.limit),
        gate_digest=gate_digest(order.spec),
        limit=order.limit,
        request_id=order.request_id,
        created=world.clock(),
        created_by=order.caller,
        trace=order.trace,
    )


async def _named(world: World, order: Order, fresh: EvaluationRow) -> EvaluationRow:
    row = await blocking(world.ledger.evaluation, order.resume_id)
    if row.document_digest != fresh.document_digest:
        message = (
            f"the document is not the one of evaluation {row.id}: what is asked has changed since; run it without "
            "--resume, or restore the document"
        )
        raise CandorError(Reason.DOCUMENT_CHANGED, message)
    return row


async def _refuse_hopeless(prepared: Prepared, order: Order) -> None:
    """A quick look (`limit`) says itself that it can conclude little."""
    if order.allow_underpowered or order.limit:
        return
    power = await blocking(power_of, prepared)
    if power is not None and not power.can_conclude:
        raise CandorError(Reason.UNDERPOWERED, _hopeless(power))


def _hopeless(power: Power) -> str:
    best = max(power.gates, key=lambda gate: gate.pass_if_equal)
    return (
        "this document cannot conclude: no critical gate has a 10 % chance of PASS without a difference or of FAIL at twice "
        f"the margin ({best.gate} has {best.pass_if_equal:.0%} and {best.fail_if_twice_margin:.0%} with {best.items:,} "
        "items). Ask more items or cells, widen the margins, or allow it (--underpowered)"
    )


async def _resume(world: World, runs: Runs, row: EvaluationRow, fresh: EvaluationRow) -> EvaluationRow:
    """Go on with an evaluation, under the gate of the document that was just given."""
    if not row.finished:
        await runs.claim(row.id)
        row = await blocking(world.ledger.evaluation, row.id)  # whoever had it may have come to its end
    other_gate = row.gate_digest != fresh.gate_digest
    if row.finished and not other_gate:
        return row
    if row.finished:
        message = f"evaluation {row.id} has its verdict under another gate; run the document without --resume"
        raise CandorError(Reason.DOCUMENT_CHANGED, message)
    if row.active and await runs.alive(row.id, row.attempt):
        if other_gate:
            message = f"evaluation {row.id} of this document is running under another gate; wait for it or cancel it"
            raise CandorError(Reason.EVALUATION_RUNNING, message)
        return row
    if other_gate:
        changes: dict[str, Any] = {"spec": fresh.spec, "gate_digest": fresh.gate_digest}
        if not row.attempt:
            changes |= await _placed_anew(world, row, fresh)
        await blocking(world.ledger.update_evaluation, row.id, **changes)
    return await _start(world, runs, replace(row, trace=fresh.trace), "goes on")


async def _placed_anew(world: World, row: EvaluationRow, fresh: EvaluationRow) -> dict[str, Any]:
    """A pilot's evaluation that is started under another gate: which replies it takes may be others by now."""
    earlier = await blocking(world.ledger.by_document, row.document_digest)
    found = placed(replace(row, gate_digest=fresh.gate_digest, pinned={}), earlier)
    return {} if found.lineage == row.lineage else {"lineage": found.lineage, "pinned": found.pinned}


async def _start(world: World, runs: Runs, row: EvaluationRow, message: str) -> EvaluationRow:
    attempt = row.attempt + 1
    blank: dict[str, Any] = {"verdict": "", "reason": "", "failure_reason": "", "verdict_json": "", "trace": row.trace}
    # Nothing trains yet, whatever did when it broke off.
    progress = {name: value for name, value in row.progress.items() if name != "training"}
    started = await blocking(
        world.ledger.append_event, row.id, "PENDING", message, progress, attempt=attempt, cancel=False, **blank
    )
    if started:
        world.bell.ring(row.id)
        await runs.start(row.id, attempt)
    return await blocking(world.ledger.evaluation, row.id)
