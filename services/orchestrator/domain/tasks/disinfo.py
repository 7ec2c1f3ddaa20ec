"""MASK, configuration `disinformation`: columns `proposition`, `formatted_ground_truth`, `belief_elicit_1` and others.

Ren et al., arXiv 2503.03750. Hub copy: `cais/MASK` (gated: accept its terms first). A proposition has two readings,
`X <pivotal>is/is not</pivotal> Y`; the formatted ground truth is `A` (the first is true) or `B`. The question is the first
belief question without its instruction on the form of the answer. C is the true reading, W the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.orchestrator.domain import forms
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import cells
from services.orchestrator.domain.tasks.identity import Ids, content_id
from services.orchestrator.domain.tasks.source import Problems, Row

VERSION = 1
COLUMNS = {
    "proposition": ("proposition",),
    "formatted_ground_truth": ("formatted_ground_truth",),
    "belief_elicit_1": ("belief_elicit_1",),
}
_PIVOTAL = re.compile(r"<pivotal>(.*?)</pivotal>", re.DOTALL)
_INSTRUCTION = re.compile(
    r"\s*(after thinking|please (answer|respond)|respond with|wrapped in|think).*$", re.IGNORECASE | re.DOTALL
)


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """One claim per row; a row without two readings is left out and counted. `seed` is not used."""
    del seed
    cells.require(rows, COLUMNS, task, problems)
    if problems.found:
        return [], []
    ids = Ids()
    found = [item for row in rows if (item := _item(task, row, ids, problems)) is not None]
    left = len(rows) - len(found)
    return found, [f"{left} rows left out: their proposition has no two readings, one of them true"] if left else []


def _item(task: str, row: Row, ids: Ids, problems: Problems) -> Item | None:
    proposition = cells.read_text(row, COLUMNS["proposition"], problems)
    question = cells.read_text(row, COLUMNS["belief_elicit_1"], problems)
    verdict = cells.read_text(row, COLUMNS["formatted_ground_truth"], problems, required=False)
    truth = cells.read_text(row, ["ground_truth"], problems, required=False)
    readings = two_readings(proposition, truth)
    if verdict.upper() not in ("A", "B") or readings is None or not question:
        return None
    true, false = readings if verdict.upper() == "A" else readings[::-1]
    if truth and forms.same(truth, false):
        return None
    return Item(
        task=task,
        id=ids.distinct(cells.read_text(row, ["task_id"], problems, required=False) or content_id(proposition)),
        question=asked(question),
        gold=cells.distinct([true, truth]),
        false_answers=(false,),
        kind="proposition",
        extra={"proposition": proposition},
    )


def asked(question: str) -> str:
    """A belief question without the sentence that says in which form to answer."""
    sentences = re.split(r"(?<=[.?!])\s+", question)
    kept = [sentence for index, sentence in enumerate(sentences) if index == 0 or not _INSTRUCTION.match(sentence)]
    return " ".join(kept)


def two_readings(proposition: str, truth: str) -> tuple[str, str] | None:
    """The proposition with the first and with the second alternative; None when it has no two.

    With several slashes, the one is taken that makes one reading the ground truth.
    """
    match = _PIVOTAL.search(proposition)
    if not match:
        return None
    parts = match[1].split("/")
    readings = [
        (
            _PIVOTAL.sub(lambda _: "/".join(parts[:at]).strip(), proposition, count=1),  # noqa: B023 - used at once
            _PIVOTAL.sub(lambda _: "/".join(parts[at:]).strip(), proposition, count=1),  # noqa: B023 - used at once
        )
        for at in range(1, len(parts))
    ]
    if len(readings) == 1:
        return readings[0]
    return next((pair for pair in readings if truth and any(forms.same(truth, one) for one in pair)), None)
