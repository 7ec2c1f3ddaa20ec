"""The embedded rewriter as a source: no model, no network, no cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from services.rewriter.domain import rules
from services.rewriter.domain.values import Draft
from services.rewriter.ports import Task


class RulesWriter:
    """Implements `ports.Writer`."""

    @property
    def width(self) -> int:
        """See ports: one thread's work, with the next at hand."""
        return 2

    def components(self) -> Mapping[str, str]:
        """What shapes its texts."""
        return {"kind": "rules", "version": rules.VERSION}

    async def write(self, task: Task) -> Draft:
        """See ports."""
        text = await asyncio.to_thread(rules.rewrite, task.exchange, task.style, task.seed, task.attempt)
        return Draft(text=text, reported_model=rules.VERSION)

    def estimate(self, task: Task) -> float | None:  # noqa: ARG002 -- the port's signature
        """See ports."""
        return None

    def price(self, task: Task, draft: Draft) -> float | None:  # noqa: ARG002 -- the port's signature
        """See ports."""
        return None
