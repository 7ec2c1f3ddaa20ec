"""Toxicity meters by name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.rewriter.backends.meter_detoxify import DetoxifyMeters
from services.rewriter.domain import toxicity
from services.rewriter.ports import Meter


class LexicalMeter:
    """Implements `ports.Meter` by the word list."""

    @property
    def method(self) -> str:
        """See ports."""
        return toxicity.method()

    async def scores(self, conversations: Sequence[Sequence[str]]) -> Sequence[float]:
        """See ports."""
        return await asyncio.to_thread(lambda: [toxicity.highest(texts) for texts in conversations])


class NamedMeters:
    """Implements `ports.Meters`."""

    def __init__(self, detoxify: DetoxifyMeters) -> None:
        self._detoxify = detoxify
        self._lexical = LexicalMeter()

    async def ready(self, name: str) -> Meter:
        """See ports."""
        return await self._detoxify.ready() if name == "detoxify" else self._lexical
