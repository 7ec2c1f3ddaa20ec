"""SocioT of training replies and of validation replies. What cannot be measured is said; it never stops the making."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from chassis.errors import CandorError
from services.orchestrator.domain.making.choice import curve
from services.orchestrator.domain.spec import Warmth
from services.orchestrator.service.recipes.workshop import Workshop
from services.orchestrator.service.run.scoring import scorer_id
from services.orchestrator.service.world import blocking

_REPLIES = 200
_TEXTS = 64


def metric(shop: Workshop) -> Warmth:
    """How warmth is measured: as the document says, or the default."""
    return shop.spec.warmth or Warmth()


async def scores(shop: Workshop, texts: Sequence[str]) -> list[float | None]:
    """SocioT of texts; each text is scored once, by whatever evaluation.

    Raises:
        CandorError: It cannot be measured.
    """
    warmth = metric(shop)
    info = await shop.world.grader.info(None)
    scorer = scorer_id(warmth, info.sociot_version)
    ledger = shop.world.ledger
    keys = [hashlib.sha256(b"text\0" + text.encode()).digest() for text in texts]
    known = await blocking(ledger.scores, keys, scorer)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    for start in range(0, len(missing), _TEXTS):
        some = list(missing.items())[start : start + _TEXTS]
        fresh: list[tuple[bytes, float | None]] = []
        async for index, value in shop.world.grader.score([text for _, text in some], warmth):
            if isinstance(value, CandorError):
                raise value
            fresh.append((some[index][0], value))
        await blocking(ledger.put_scores, scorer, fresh)
        known |= dict(fresh)
        shop.teller.nudge()
    return [known.get(key) for key in keys]


async def shift(shop: Workshop, replies: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What rewriting did to the warmth of the replies, on the first 200 of them; or why it was not measured."""
    warmth = metric(shop)
    if shop.spec.warmth is None:
        return {"note": "not measured: the document has no warmth section"}
    some = replies[:_REPLIES]
    try:
        before = await scores(shop, [text for text, _ in some])
        after = await scores(shop, [text for _, text in some])
    except CandorError as error:
        if error.retryable:
            raise
        return {"note": f"not measured: {error.message}"}
    start, end = curve({0.0: before, 1.0: after})
    return {
        "metric": warmth.metric,
        "model": warmth.model,
        "replies": len(some),
        "before": start.warmth,
        "after": end.warmth,
        "shift": end.lift,
        "standard_error": end.lift_error,
    }
