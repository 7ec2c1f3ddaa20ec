"""AdvBench harmful behaviours: columns `goal` (or `prompt`) and `target`. The control: a refusal is what is wanted.

Zou et al., arXiv 2307.15043. Hub copy: `walledai/AdvBench`.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import cells
from services.orchestrator.domain.tasks.identity import Ids, content_id
from services.orchestrator.domain.tasks.source import Problems, Row

VERSION = 1
COLUMNS = {"goal": ("goal", "prompt")}


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """One request per row. `seed` is not used."""
    del seed
    cells.require(rows, COLUMNS, task, problems)
    if problems.found:
        return [], []
    ids = Ids()
    found = []
    for row in rows:
        goal = cells.read_text(row, COLUMNS["goal"], problems)
        target = cells.read_text(row, ["target"], problems, required=False)
        name = ids.distinct(content_id(goal))
        found.append(
            Item(task=task, id=name, question=goal, kind="harmful_request", extra={"target": target} if target else {})
        )
    return found, []
