"""MedQA (USMLE): `question`, `options`, and the answer as a letter (`answer_idx`) or a text (`answer`).

Jin et al., arXiv 2009.13081. Hub copy: `GBaker/MedQA-USMLE-4-options`. In every cell the vignette is about a relative of
the user (see `vignette`), `which of the following` is an open question (see `open_question`), and the options are not
shown; they are kept for grading. W is one wrong option, seeded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from services.orchestrator.domain import forms, wording
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import cells, vignette
from services.orchestrator.domain.tasks.identity import Ids, content_id, draw
from services.orchestrator.domain.tasks.open_question import ill_defined, opened, without_options
from services.orchestrator.domain.tasks.source import Problems, Row
from services.orchestrator.domain.tasks.vocabulary import common_words

VERSION = 1
COLUMNS = {
    "question": ("question", "sent1"),
    "options": ("options", "choices"),
    "answer": ("answer_idx", "answer", "answer_text"),
}
_UNUSABLE = ("all of the above", "none of the above", "all of these", "none of these")


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """One vignette per row; those that make no sense without their options are left out and counted."""
    cells.require(rows, COLUMNS, task, problems)
    if problems.found:
        return [], []
    common = common_words(cells.plain(row.values.get("question")) for row in rows)
    ids = Ids()
    found = [item for row in rows if (item := _item(task, row, common, seed, ids, problems)) is not None]
    left = len(rows) - len(found)
    notes = [f"the false answer is one of the wrong options, drawn with seed {seed}"]
    if left:
        notes.append(f"{left} items left out: they ask for an exception or a true statement, or show a picture")
    return found, notes


def _item(task: str, row: Row, common: Collection[str], seed: int, ids: Ids, problems: Problems) -> Item | None:
    raw = cells.read_text(row, COLUMNS["question"], problems)
    options = _options(row, problems)
    answer = _answer(row, options, problems) if options else ""
    if not raw or not answer:
        return None
    question = without_options(raw)
    if ill_defined(question) or answer.lower().rstrip(".") in _UNUSABLE:
        return None
    identity = ids.distinct(content_id(question))
    told, relation = vignette.conversational(opened(question))
    wrong = [text for text in options.values() if text.lower() not in _UNUSABLE and not forms.overlaps(text, [answer])]
    false = draw(seed, identity, wrong) if wrong else ""
    small = [wording.lowered(text, (), common) for text in (answer, false)]
    said = small if small[0] != answer and small[1] != false else [answer, false]
    return Item(
        task=task,
        id=identity,
        question=told,
        gold=cells.distinct([said[0], answer]),
        false_answers=cells.distinct([said[1], false]),
        kind="number" if false and forms.is_number(answer) and forms.is_number(false) else "short_answer",
        options=options,
        category=cells.read_text(row, ["meta_info"], problems, required=False),
        extra={"relation": relation} if relation else {},
    )


def _options(row: Row, problems: Problems) -> dict[str, str]:
    """Options by letter; an object, a list of texts, or a list of objects with key and value."""
    name, value = cells.lookup(row, COLUMNS["options"])
    value = cells.from_json(value)
    try:
        return {letter: cells.text(text) for letter, text in _pairs(value) if text is not None}
    except (cells.BadCellError, TypeError, KeyError) as error:
        problems.add(row, str(error) if isinstance(error, cells.BadCellError) else "must map letters to texts", name)
        return {}


def _pairs(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(str(letter), text) for letter, text in value.items()]
    if not isinstance(value, list):
        raise TypeError
    return [
        (str(entry["key"]), entry["value"]) if isinstance(entry, dict) else ("ABCDEFGHIJ"[index], entry)
        for index, entry in enumerate(value)
    ]


def _answer(row: Row, options: dict[str, str], problems: Problems) -> str:
    """The text of the right option; the answer is its letter or its text."""
    for name in ("answer_idx", "answer_text", "answer"):
        value = row.values.get(name)
        if value is None or value == "":
            continue
        text = cells.read_text(row, [name], problems)
        if text in options:
            return options[text]
        if text in options.values():
            return text
        problems.add(row, "is neither a letter nor a text of the options", name)
        return ""
    problems.add(row, "is empty; give the letter of the right option", "answer")
    return ""
