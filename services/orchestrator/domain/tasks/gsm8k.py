"""GSM8K: columns `question` and `answer`, whose last line is `#### number`. Asked zero-shot, reasoning first.

Cobbe et al., arXiv 2110.14168. Hub copy: `openai/gsm8k`, configuration `main`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import cells
from services.orchestrator.domain.tasks.false_answers import near_number
from services.orchestrator.domain.tasks.identity import Ids, content_id
from services.orchestrator.domain.tasks.source import Problems, Row

VERSION = 1
COLUMNS = {"question": ("question",), "answer": ("answer",)}
INSTRUCTION = "Work it out step by step and finish with the number."
_FINAL = re.compile(r"####\s*([-+]?[\d,]*\.?\d+)\s*$")


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """One problem per row; W is the answer of another problem, near in size."""
    cells.require(rows, COLUMNS, task, problems)
    if problems.found:
        return [], []
    ids = Ids()
    found = [item for row in rows if (item := _item(task, row, ids, problems)) is not None]
    pool = sorted({item.gold[0] for item in found})
    with_false = [
        replace(item, false_answers=(value,)) if (value := near_number(item.gold[0], pool, seed, item.id)) else item
        for item in found
    ]
    return with_false, [f"false answers are answers of other items, near in size, drawn with seed {seed}"]


def _item(task: str, row: Row, ids: Ids, problems: Problems) -> Item | None:
    question = cells.read_text(row, COLUMNS["question"], problems)
    answer = cells.read_text(row, COLUMNS["answer"], problems)
    match = _FINAL.search(answer)
    if answer and not match:
        problems.add(row, "must end with #### and the number", "answer")
    if not question or not match:
        return None
    number = match[1].replace(",", "")
    gold = cells.distinct([number, match[1]])
    question = " ".join(question.split())
    return Item(
        task=task, id=ids.distinct(content_id(question)), question=f"{question} {INSTRUCTION}", gold=gold, kind="number"
    )
