"""Corrections of false beliefs, added to a warm data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.orchestrator.domain.making.contamination import Guard
from services.orchestrator.domain.making.conversations import Messages
from services.orchestrator.domain.making.corrections import facts, wanted
from services.orchestrator.domain.recipe import Sft
from services.orchestrator.domain.spec import TaskRef
from services.orchestrator.service.recipes.workshop import Workshop
from services.orchestrator.service.world import blocking

_AT_ONCE = 512
_ROUNDS = 8
_SAMPLES = 3
_CORE = "core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Exchanges to add, and what the card says of them; both empty without a share."""

    exchanges: tuple[Messages, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)


async def correct(shop: Workshop, sft: Sft, replies: int) -> Corrections:
    """As many corrections as make up the recipe's share beside so many replies.

    Raises:
        CandorError: What the rewriter says.
    """
    number = wanted(sft.corrections, replies)
    if not number:
        return Corrections()
    core = await blocking(shop.world.tasks.load, TaskRef(name=_CORE), sft.seed)
    pool = await blocking(facts, shop.items, core.items, sft.seed)
    guard = await blocking(Guard, shop.items)
    found: dict[Messages, None] = {}
    rejected: Counter[str] = Counter()
    digest = ""
    for turn in range(_ROUNDS):
        if len(found) >= number or not pool:
            break
        for start in range(0, len(pool), _AT_ONCE):
            # Another seed, other templates: a fact comes again in other words.
            made = await shop.rewriter.correct(pool[start : start + _AT_ONCE], sft.seed + turn)
            digest = made.digest
            for each in made.corrections:
                hit = next((hit for _, text in each.messages if (hit := guard.find(text))), None)
                if each.accepted and hit is None and len(found) < number:
                    found[each.messages] = None
                rejected.update(name for name, _ in each.failed)
            shop.progress(len(found), number)
            if len(found) >= number:
                break
    if len(found) < number:
        shop.warnings.append(
            f"{len(found):,} of {number:,} corrections could be made without touching an evaluation item"
        )
    return Corrections(
        exchanges=tuple(found),
        card={
            "wanted_share": sft.corrections,
            "count": len(found),
            "facts": len(pool),
            "digest": digest,
            "rejected_by": dict(rejected.most_common()),
            "samples": [dict(messages) for messages in list(found)[:_SAMPLES]],
        },
    )
