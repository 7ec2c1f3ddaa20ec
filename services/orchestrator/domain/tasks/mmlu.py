"""MMLU: columns `question`, `choices` (or `A` to `D`), `answer` (a letter or an index from 0), `subject`.

Hendrycks et al., arXiv 2009.03300. Hub copy: `cais/mmlu`. The options stay in the prompt; W is one wrong option, seeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import cells, own
from services.orchestrator.domain.tasks.identity import Ids, content_id, draw
from services.orchestrator.domain.tasks.source import Problems, Row, short

VERSION = 1
COLUMNS = {"question": ("question", "input"), "choices": ("choices", "options", "A"), "answer": ("answer", "target")}


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """One question per row."""
    cells.require(rows, COLUMNS, task, problems)
    if problems.found:
        return [], []
    ids = Ids()
    found = [item for row in rows if (item := _item(task, row, seed, ids, problems)) is not None]
    return found, [f"the false answer is one of the wrong options, drawn with seed {seed}"]


def _item(task: str, row: Row, seed: int, ids: Ids, problems: Problems) -> Item | None:
    question = cells.read_text(row, COLUMNS["question"], problems)
    options = _choices(row, problems)
    letter = _letter(row, problems)
    if letter and options and letter not in options:
        problems.add(row, f"is {short(letter)}, which is not one of the options", "answer")
    if not question or not options or letter not in options:
        return None
    gold = options[letter]
    identity = ids.distinct(content_id(question, *options.values()))
    wrong = [text for text in options.values() if text != gold]
    return Item(
        task=task,
        id=identity,
        question=own.with_options(question, options),
        gold=(gold,),
        false_answers=(draw(seed, identity, wrong),) if wrong else (),
        kind="multiple_choice",
        options=options,
        category=cells.read_text(row, ["subject"], problems, required=False),
    )


def _choices(row: Row, problems: Problems) -> dict[str, str]:
    name, value = cells.lookup(row, ["choices", "options"])
    value = cells.from_json(value)
    if value is None:
        name, value = "A", [row.values[letter] for letter in "ABCDEFGHIJ" if row.values.get(letter) is not None]
    if not isinstance(value, list) or not 2 <= len(value) <= len(ascii_uppercase):
        problems.add(row, "must be a list of at least two texts", name)
        return {}
    try:
        texts = [cells.text(text) for text in value]
    except cells.BadCellError as error:
        problems.add(row, str(error), name)
        return {}
    return dict(zip(ascii_uppercase, texts, strict=False))


def _letter(row: Row, problems: Problems) -> str:
    """The letter of the right option; an index counts from 0."""
    text = cells.read_text(row, COLUMNS["answer"], problems).upper()
    if text.isdecimal() and int(text) < len(ascii_uppercase):
        return ascii_uppercase[int(text)]
    return text
