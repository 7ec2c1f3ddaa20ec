"""Which items are asked, and in which order: both functions of the seed and the items' keys alone."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from services.orchestrator.domain.items import Item, Task


def shuffled(items: Sequence[Item], seed: int) -> tuple[Item, ...]:
    """The seeded random order in which items enter; the order given plays no part."""
    return tuple(sorted(items, key=lambda item: (_place(item, seed), item.key)))


def subset(items: Sequence[Item], limit: int, seed: int) -> tuple[Item, ...]:
    """`limit` items in proportion over (task, category, difficulty); all of them when `limit` is 0.

    Items of a cluster that is cut stay what they are: a quick look does not need whole clusters.
    """
    if limit <= 0 or limit >= len(items):
        return tuple(items)
    strata: dict[tuple[str, str, str], list[Item]] = defaultdict(list)
    for item in shuffled(items, seed):
        strata[item.task, item.category, item.difficulty].append(item)
    spread: list[tuple[float, bytes, Item]] = []
    for members in strata.values():
        for rank, item in enumerate(members):
            # The k-th of n lies at (k + 1/2) / n: a prefix of the merged list has every stratum in proportion.
            spread.append(((rank + 0.5) / len(members), _place(item, seed), item))
    spread.sort(key=lambda entry: entry[:2])
    chosen = {item.key for _, _, item in spread[:limit]}
    return tuple(item for item in items if item.key in chosen)


def cut(task: Task, items: int | None, seed: int) -> Task:
    """The task with so many of its items, as `subset` draws them, and a note of it."""
    if not items or items >= len(task.items):
        return task
    note = f"{items:,} of its {len(task.items):,} items, drawn with seed {seed}"
    return replace(task, items=subset(task.items, items, seed), notes=(*task.notes, note))


def _place(item: Item, seed: int) -> bytes:
    text = json.dumps([seed, "order", item.task, item.id], ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()
