"""Rewrites the replies of a selection: every outcome is kept at once, and what is there is not bought again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.making.conversations import Conversation
from services.orchestrator.domain.making.rewrites import RewriteRow, places
from services.orchestrator.domain.recipe import UNTRANSFORMED, Group, RewriterChoice, Style
from services.orchestrator.ports.making import Exchange, RewriterInfo, Rewritten
from services.orchestrator.service.recipes.workshop import OF_THE_ITEM, Workshop
from services.orchestrator.service.run.batcher import Batcher
from services.orchestrator.service.world import blocking

_BATCH = 64
_STREAMS = 4
_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """The outcomes of one style, by exchange."""

    info: RewriterInfo
    rows: dict[bytes, RewriteRow]


class Rewriting:
    """Rewrites one selection into the styles of its group.

    Args:
        shop: The workshop.
        group: Whose styles.
        conversations: The selection.
    """

    def __init__(self, shop: Workshop, group: Group, conversations: Sequence[Conversation]) -> None:
        self._shop = shop
        self._group = group
        self._exchanges = {
            place.key: Exchange(
                messages=conversations[place.conversation].messages[: place.turn],
                reply=conversations[place.conversation].messages[place.turn][1],
            )
            for place in places(conversations)
        }
        self._done = 0
        self._total = len(self._exchanges) * len(group.styles)

    async def run(self) -> dict[str, Bought]:
        """Outcomes by style.

        Raises:
            CandorError: SPEND_CAP, and what the rewriter says; what was bought is kept.
        """
        bought = {}
        for style in self._group.styles.values():
            bought[style.name] = await self._style(style)
        return bought

    async def _style(self, style: Style) -> Bought:
        shop = self._shop
        choice = self._choice(style)
        info = await shop.rewriter.describe(style, choice)
        ledger = shop.world.ledger
        known = await blocking(ledger.rewrites, info.digest, list(self._exchanges))
        self._done += len(known)
        missing = [key for key in self._exchanges if key not in known]
        shop.progress(self._done, self._total)
        fresh: dict[bytes, RewriteRow] = {}
        if missing:
            writer: Batcher[RewriteRow] = Batcher(
                lambda rows: blocking(ledger.put_rewrites, info.digest, rows),
                size=shop.world.limits.commit_items,
                seconds=shop.world.limits.commit_seconds,
            )
            try:
                await self._buy(style, choice, missing, fresh, writer)
            finally:
                await writer.close(flush=True)
        if choice.prices is not None:
            shop.teller.counts.rewriting_spend = await blocking(ledger.rewriting_spend, shop.row.id)
        return Bought(info=info, rows=known | fresh)

    def _choice(self, style: Style) -> RewriterChoice:
        """Nobody is paid for leaving a reply as it is."""
        free = not style.own and style.name == UNTRANSFORMED
        return RewriterChoice() if free else self._group.common.rewriter

    async def _buy(
        self,
        style: Style,
        choice: RewriterChoice,
        missing: list[bytes],
        fresh: dict[bytes, RewriteRow],
        writer: Batcher[RewriteRow],
    ) -> None:
        for _ in range(_ROUNDS):
            trouble = await self._round(style, choice, missing, fresh, writer)
            missing = [key for key in missing if key not in fresh]
            if not missing:
                return
            if trouble.reason is Reason.SPEND_CAP:
                raise _reached(trouble)
            if not trouble.retryable:
                break
        message = f"rewriting into {style.name}: {len(missing):,} replies are left: {trouble.message}"
        raise CandorError(trouble.reason, message, metadata=trouble.metadata)

    async def _round(
        self,
        style: Style,
        choice: RewriterChoice,
        missing: list[bytes],
        fresh: dict[bytes, RewriteRow],
        writer: Batcher[RewriteRow],
    ) -> CandorError:
        """Ask for everything that is missing; what stood in the way of the last one that did not come.

        After an error that no repetition mends nothing more is asked for; what was under way is paid for, and kept.
        """
        # Under a cap one request at a time, each with what is left of it.
        streams = asyncio.Semaphore(_STREAMS if choice.spend_cap is None else 1)
        trouble = CandorError(Reason.SERVICE_UNAVAILABLE, "the rewriter gave no answer")

        async def some(keys: list[bytes]) -> None:
            nonlocal trouble
            async with streams:
                if not trouble.retryable:
                    return
                await writer.room()
                cap = await self._left(choice, writer)
                exchanges = [self._exchanges[key] for key in keys]
                found = self._shop.rewriter.rewrite(
                    style, choice, exchanges, seed=self._group.common.seed, spend_cap=cap
                )
                async for index, outcome in found:
                    if isinstance(outcome, CandorError) and outcome.reason not in OF_THE_ITEM:
                        if "spend" in outcome.metadata:
                            writer.put(self._paid(outcome))
                        if trouble.retryable:
                            trouble = outcome
                        continue
                    row = self._row(keys[index], outcome)
                    fresh[row.key] = row
                    writer.put(row)
                    self._done += 1
                    self._shop.progress(self._done, self._total)

        async with asyncio.TaskGroup() as tasks:
            for start in range(0, len(missing), _BATCH):
                tasks.create_task(some(missing[start : start + _BATCH]))
        return trouble

    async def _left(self, choice: RewriterChoice, writer: Batcher[RewriteRow]) -> float | None:
        if choice.spend_cap is None:
            return None
        await writer.drained()
        spent = await blocking(self._shop.world.ledger.rewriting_spend, self._shop.row.id)
        if spent >= choice.spend_cap:
            raise _capped(spent, choice.spend_cap)
        return choice.spend_cap - spent

    def _row(self, key: bytes, outcome: Rewritten | CandorError) -> RewriteRow:
        owner, now = self._shop.row.id, self._shop.world.clock()
        if isinstance(outcome, CandorError):
            return RewriteRow(key=key, evaluation_id=owner, failed=(("error", outcome.reason.name),), created=now)
        return RewriteRow(
            key=key,
            evaluation_id=owner,
            text=outcome.text,
            accepted=outcome.accepted,
            failed=outcome.failed,
            attempts=outcome.attempts,
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            reported_model=outcome.reported_model,
            style_shift=outcome.style_shift,
            spend=outcome.spend,
            created=now,
        )

    def _paid(self, error: CandorError) -> RewriteRow:
        """What was paid for no outcome: under a key of its own, so that it counts and the exchange is asked for again."""
        return RewriteRow(
            key=secrets.token_bytes(32),
            evaluation_id=self._shop.row.id,
            failed=(("error", error.reason.name),),
            spend=float(error.metadata["spend"]),
            created=self._shop.world.clock(),
        )


def _capped(spent: float, cap: float) -> CandorError:
    text = f"the rewrites have cost {spent:,.2f}, the cap is {cap:,.2f}"
    return _reached(CandorError(Reason.SPEND_CAP, text))


def _reached(error: CandorError) -> CandorError:
    message = f"{error.message}; raise rewriter.spend_cap and give the same command again, what was bought is kept"
    return CandorError(Reason.SPEND_CAP, message)
