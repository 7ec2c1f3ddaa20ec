"""Rewrite a batch: write, certify, try again with the reasons named; outcomes leave as they are finished."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from chassis.errors import CandorError, Reason
from chassis.fan_out import fan_out
from services.rewriter.domain import certificate
from services.rewriter.domain.values import Draft, Exchange, Rewrite, Style
from services.rewriter.domain.warmth import warmth
from services.rewriter.ports import Task, Writer
from services.rewriter.service.budget import Budget

Outcome = Rewrite | CandorError
# The exchange is to blame, and would be again.
_OF_THE_ITEM = (Reason.BAD_REPLY, Reason.CONTEXT_TOO_LONG)
_BAD_REQUEST = ("400", "422")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What holds for every exchange of a batch."""

    style: Style
    digest: str
    attempts: int
    seed: int
    cap: float | None = None


async def rewrite_all(writer: Writer, exchanges: Sequence[Exchange], job: Job) -> AsyncGenerator[tuple[int, Outcome]]:
    """Outcomes with their index as they finish, each index once. A CandorError is that item's outcome."""
    budget = Budget(job.cap)

    async def rewrite(exchange: Exchange) -> Rewrite:
        return await _rewrite(writer, exchange, job, budget)

    async with aclosing(fan_out(exchanges, rewrite, writer.width)) as outcomes:
        async for outcome in outcomes:
            yield outcome


def unchanged(exchange: Exchange, job: Job) -> Rewrite:
    """The reply itself: nothing can have been lost, so that it is accepted by definition."""
    checks = certificate.nothing_changed()
    return Rewrite(text=exchange.reply, checks=checks, attempts=1, style_shift=0.0, digest=job.digest)


async def _rewrite(writer: Writer, exchange: Exchange, job: Job, budget: Budget) -> Rewrite:
    last: Rewrite | None = None
    reasons: list[str] = []
    for attempt in range(1, job.attempts + 1):
        task = Task(
            exchange=exchange,
            style=job.style,
            seed=_seed(job, exchange, attempt),
            attempt=attempt,
            reasons=reasons,
        )
        try:
            draft, price = await _bought(writer, task, budget)
        except CandorError as error:
            if last is None:
                raise
            if not _of_the_item(error):
                raise _unfinished(error, last) from error
            return last  # another attempt would fail alike: what was bought is delivered, with the reasons of its rejection
        last = await asyncio.to_thread(_certified, draft, price, task, job, last)
        if last.accepted:
            return last
        reasons = [f"{check.name}: {check.reason}" for check in last.checks if not check.passed]
    assert last is not None, "at least one attempt"
    return last


def _of_the_item(error: CandorError) -> bool:
    """Whether another call would fail alike. The endpoint served an attempt before: what it calls a bad request is this text (a filter)."""
    refused = error.reason is Reason.ENDPOINT_REFUSED and error.metadata.get("status") in _BAD_REQUEST
    return refused or error.reason in _OF_THE_ITEM


def _unfinished(error: CandorError, last: Rewrite) -> CandorError:
    """The error, with what the attempts before it cost: a later call may bring a rewrite, so that they are no rejection."""
    if last.spend is None:
        return error
    return replace(error, metadata={**error.metadata, "spend": repr(last.spend)})


async def _bought(writer: Writer, task: Task, budget: Budget) -> tuple[Draft, float | None]:
    reserved = budget.reserve(writer.estimate(task))
    price: float | None = None
    try:
        draft = await _written(writer, task)
        price = writer.price(task, draft)
    finally:
        budget.settle(reserved, price)
    return draft, price


async def _written(writer: Writer, task: Task) -> Draft:
    """An answer without text is a rejected draft, not an error: asking once more with the reason named may help."""
    try:
        return await writer.write(task)
    except CandorError as error:
        if error.reason not in (Reason.EMPTY_REPLY, Reason.OUTPUT_BUDGET):
            raise
        return Draft(text="", cut=error.reason is Reason.OUTPUT_BUDGET)


def _certified(draft: Draft, price: float | None, task: Task, job: Job, before: Rewrite | None) -> Rewrite:
    checks = certificate.certify(task.exchange, draft.text, job.style, cut=draft.cut)
    usage, spend = draft.usage, price
    if before is not None:
        usage = usage.plus(before.usage) if usage and before.usage else usage or before.usage
        spend = None if price is None and before.spend is None else (price or 0.0) + (before.spend or 0.0)
    return Rewrite(
        text=draft.text,
        checks=checks,
        attempts=task.attempt,
        style_shift=round(warmth(draft.text).per_hundred - warmth(task.exchange.reply).per_hundred, 6),
        digest=job.digest,
        usage=usage,
        reported_model=draft.reported_model,
        spend=spend,
    )


def _seed(job: Job, exchange: Exchange, attempt: int) -> int:
    said = json.dumps([job.seed, attempt, *exchange.turns, exchange.reply])
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:4], "big") >> 1
