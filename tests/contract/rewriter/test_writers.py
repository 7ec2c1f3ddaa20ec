"""The port `Writers`, over the rules and over a real endpoint."""

from __future__ import annotations

import asyncio
from typing import Any

from services.rewriter.domain import certificate, styles
from services.rewriter.domain.values import Exchange, Turn
from services.rewriter.ports import Task

WARM = styles.builtin("warm")
EXCHANGE = Exchange((Turn("user", "How long do I boil an egg?"),), "Boil it for 7 minutes.\n\n```\nx = 1\n```")


def task(seed: int = 1, attempt: int = 1) -> Task:
    return Task(exchange=EXCHANGE, style=WARM, seed=seed, attempt=attempt)


async def test_a_draft_is_a_rewrite_that_the_certificate_accepts(source: Any) -> None:
    writer = await source.writers.ready(source.spec)
    draft = await writer.write(task())
    assert draft.text.strip()
    assert draft.text != EXCHANGE.reply
    assert draft.reported_model
    assert not draft.cut
    assert all(check.passed for check in certificate.certify(EXCHANGE, draft.text, WARM))


async def test_equal_tasks_give_equal_drafts(source: Any) -> None:
    writer = await source.writers.ready(source.spec)
    first, second = await asyncio.gather(writer.write(task(seed=5)), writer.write(task(seed=5)))
    assert first.text == second.text


async def test_it_says_how_many_tasks_are_worth_having_under_way(source: Any) -> None:
    assert (await source.writers.ready(source.spec)).width >= 1


async def test_without_prices_nothing_is_estimated_or_charged(source: Any) -> None:
    writer = await source.writers.ready(source.spec)
    assert writer.estimate(task()) is None
    assert writer.price(task(), await writer.write(task())) is None


async def test_components_name_the_source_and_ask_nobody(source: Any, endpoint: Any) -> None:
    parts = await source.writers.components(source.spec)
    assert parts == await source.writers.components(source.spec)
    assert parts["kind"] in ("rules", "endpoint")
    assert endpoint.calls == []
