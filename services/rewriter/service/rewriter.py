"""The rewriter's use cases: read, classify, rewrite, describe, correct."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from chassis.errors import CandorError
from chassis.metrics import Metrics
from services.rewriter.domain import categories, corrections, digests, styles, validate
from services.rewriter.domain.reading.reader import Reader
from services.rewriter.domain.values import (
    Classification,
    Conversation,
    Exchange,
    Problem,
    Read,
    Rewrite,
    SourceSpec,
    Style,
)
from services.rewriter.ports import Meters, Writers
from services.rewriter.service.rewriting import Job, Outcome, rewrite_all, unchanged

# Conversations scored in one go: results leave in between.
_CHUNK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What a caller says of a file before its bytes."""

    filename: str = ""
    form: str = ""
    max_turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteRequest:
    """See the proto; a style or source that is missing or unknown stays so, for validation to name."""

    style: Style | None
    source: SourceSpec | None
    exchanges: Sequence[Exchange]
    spend_cap: float | None
    attempts: int
    seed: int


class RewriterService:
    """Everything that the servicer offers.

    Args:
        writers: Where rewrites come from.
        meters: Who measures toxicity.
        metrics: Items and tokens are counted here.
        toxicity: The meter of requests that name none.
    """

    def __init__(self, writers: Writers, meters: Meters, metrics: Metrics, toxicity: str) -> None:
        self._writers = writers
        self._meters = meters
        self._metrics = metrics
        self._toxicity = toxicity

    async def read(self, info: FileInfo, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Read | Problem]:
        """Conversations and problems as they become whole. Raises CandorError BAD_DATASET, INVALID_REQUEST."""
        validate.check_file(info.form, info.max_turns)
        reader = Reader(info.form, info.max_turns)
        async for chunk in chunks:
            validate.check_chunk(chunk)
            for found in await asyncio.to_thread(reader.feed, chunk):
                yield self._counted(found)
        for found in await asyncio.to_thread(reader.close):
            yield self._counted(found)

    async def classify(
        self, conversations: Sequence[Conversation], toxicity: str, threshold: float
    ) -> AsyncGenerator[tuple[int, Classification | CandorError]]:
        """Classifications with their index. Raises CandorError for bad fields, BACKEND_MISSING."""
        name = toxicity or self._toxicity
        validate.check_classifying(conversations, name, threshold)
        meter = await self._meters.ready(name) if name != "none" else None
        with self._metrics.accepted("classify", len(conversations)) as finished:
            for start in range(0, len(conversations), _CHUNK):
                chunk = conversations[start : start + _CHUNK]
                scores: Sequence[float | None] = [None] * len(chunk)
                if meter is not None:
                    scores = await meter.scores([[turn.content for turn in item.turns] for item in chunk])
                for index, (item, score) in enumerate(zip(chunk, scores, strict=True), start):
                    finished()
                    self._metrics.items.labels("classify", "ok").inc()
                    yield (
                        index,
                        Classification(
                            category=categories.of(item.turns),
                            toxicity=score,
                            toxic=score is not None and score >= threshold,
                            method=meter.method if meter is not None else "none",
                        ),
                    )

    async def rewrite(self, request: RewriteRequest) -> AsyncGenerator[tuple[int, Outcome]]:
        """Outcomes with their index as they finish. Raises CandorError before the first: bad fields, unusable source."""
        style, source = validate.check_rewriting(
            request.style, request.source, request.exchanges, request.spend_cap, request.attempts
        )
        parts = digests.components(style, await self._writers.components(source))
        job = Job(
            style=style,
            digest=digests.digest(parts),
            attempts=request.attempts,
            seed=request.seed,
            cap=request.spend_cap,
        )
        if style.unchanged:
            for index, exchange in enumerate(request.exchanges):
                yield index, self._rewritten(unchanged(exchange, job))
            return
        writer = await self._writers.ready(source)
        with self._metrics.accepted("rewrite", len(request.exchanges)) as finished:
            async with aclosing(rewrite_all(writer, request.exchanges, job)) as outcomes:
                async for index, outcome in outcomes:
                    finished()
                    yield index, self._rewritten(outcome)

    async def describe(self, style: Style | None, source: SourceSpec | None) -> tuple[str, Mapping[str, str]]:
        """Digest and components. Raises CandorError as `rewrite` does."""
        known, where = validate.check_style_and_source(style, source)
        parts = digests.components(known, await self._writers.components(where))
        return digests.digest(parts), parts

    def styles(self) -> Sequence[tuple[Style, str]]:
        """The built-in styles and their digests."""
        return [(style, styles.digest(style)) for style in map(styles.builtin, styles.BUILTIN)]

    def corrections(self, items: Sequence[corrections.Item], seed: int) -> Sequence[corrections.Correction]:
        """Exchanges of warm_corrective. Raises CandorError for bad fields."""
        validate.check_corrections(items)
        return [corrections.build(item, number, seed) for number, item in enumerate(items)]

    def _counted(self, found: Read | Problem) -> Read | Problem:
        self._metrics.items.labels("read", "problem" if isinstance(found, Problem) else "ok").inc()
        return found

    def _rewritten(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Rewrite):
            self._metrics.items.labels("rewrite", "accepted" if outcome.accepted else "rejected").inc()
            if outcome.usage is not None:
                for kind in ("prompt", "completion", "reasoning"):
                    self._metrics.tokens.labels(kind).inc(getattr(outcome.usage, f"{kind}_tokens") or 0)
        else:
            self._metrics.items.labels("rewrite", outcome.reason.name).inc()
        return outcome
