"""The data sets that the arms are trained on: one for each arm, of the conversations that every style accepted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.orchestrator.domain.making.card import SCHEMA, kept_card, replies_of, rewriting_card
from services.orchestrator.domain.making.card_text import markdown
from services.orchestrator.domain.making.rewrites import kept_turns, rewritten, training_lines
from services.orchestrator.domain.recipe import Group, Sft
from services.orchestrator.service.recipes.correcting import correct
from services.orchestrator.service.recipes.reading import Selection
from services.orchestrator.service.recipes.rewriting import Bought
from services.orchestrator.service.recipes.warmth import shift
from services.orchestrator.service.recipes.workshop import CARD, Workshop, bad_data, encoded
from services.orchestrator.service.world import blocking

DATA = "train.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What an arm is trained on. `digest`: `sha256:` of the file at `location`."""

    digest: str
    location: str
    card: Mapping[str, Any]


async def assemble(
    shop: Workshop, group: Group, selection: Selection, bought: Mapping[str, Bought]
) -> dict[str, Dataset]:
    """A data set for each arm, kept under the digest of its conversations.

    Raises:
        CandorError: BAD_TRAINING_DATA when no conversation is left.
    """
    kept = await blocking(kept_turns, selection.train, {name: each.rows for name, each in bought.items()})
    if not kept:
        raise bad_data(_nothing_left(bought))
    found = {}
    for arm, sft in group.arms.items():
        found[arm] = await _dataset(shop, sft, selection, kept, bought[sft.style.rewritten.name])
    return found


async def _dataset(shop: Workshop, sft: Sft, selection: Selection, kept: Mapping[int, int], bought: Bought) -> Dataset:
    turns = [rewritten(selection.train[number], end, bought.rows) for number, end in kept.items()]
    corrections = await correct(shop, sft, sum(map(replies_of, turns)))
    data = await blocking(training_lines, [*turns, *corrections.exchanges])
    digest = hashlib.sha256(data).hexdigest()
    replies = [
        (before, after)
        for number, after_turns in zip(kept, turns, strict=True)
        for (_, before), (role, after) in zip(selection.train[number].messages, after_turns, strict=False)
        if role == "assistant"
    ]
    card = {
        "schema": SCHEMA,
        "style": sft.style.name,
        "digest": f"sha256:{digest}",
        "selection": selection.card | {"folder": selection.folder},
        "rewriter": {"digest": bought.info.digest, "components": dict(sorted(bought.info.components.items()))},
        "rewriting": await blocking(rewriting_card, list(bought.rows.values())),
        "kept": await blocking(kept_card, selection.train, kept, bought.rows),
        "corrections": dict(corrections.card),
        "sociot": await shift(shop, replies),
    }
    folder = f"datasets/{digest}"
    files = {DATA: data, CARD: encoded(card), "card.md": markdown(card).encode()}
    await blocking(shop.materials.write, folder, files)
    return Dataset(digest=f"sha256:{digest}", location=shop.materials.location(folder, DATA), card=card)


def _nothing_left(bought: Mapping[str, Bought]) -> str:
    said = []
    for name, each in bought.items():
        card = rewriting_card(list(each.rows.values()))
        most = ", ".join(f"{check} {count:,}" for check, count in list(card["rejected_by"].items())[:3])
        said.append(f"{name} {card['accepted']:,} of {card['replies']:,}" + (f" ({most})" if most else ""))
    return f"no conversation is left that every style accepted; accepted: {'; '.join(said)}"
