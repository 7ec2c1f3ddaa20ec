"""A user's own questions, and the built-in ones, which are written in the same columns.

Columns: `id`, `question`, `answer`, and if wanted `false_answer`, `aliases`, `task`, `category`, `cluster`, `kind`,
`difficulty`, `options`. Ready-made prompts have `messages` in place of `question`. All other columns are kept in `extra`.

`answer`, `false_answer` and `aliases` hold one text or several: a list in json, jsonl and parquet; in csv texts separated
by `|`, or a JSON list. The first `answer` is C, the first `false_answer` W. `options` is an object (letter to text) or a
list, in csv as JSON; `answer` may then be a letter. A yes/no question without `false_answer` gets the other of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from services.orchestrator.domain import forms
from services.orchestrator.domain.items import KINDS, Item
from services.orchestrator.domain.tasks import cells
from services.orchestrator.domain.tasks.source import Problems, Row, short

VERSION = 1
COLUMNS = (
    "id",
    "question",
    "answer",
    "false_answer",
    "aliases",
    "task",
    "category",
    "cluster",
    "kind",
    "difficulty",
    "options",
    "messages",
)
_ROLES = ("system", "user", "assistant")
_DIFFICULTIES = ("", "easy", "medium", "hard")


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """Items of a file in our columns, and notes. `seed` is not used: nothing is drawn."""
    del seed
    for file, columns in cells.missing_columns(rows, _needed(rows)).items():
        problems.add(file, f"lacks the column {_names(columns)}; add it to every row")
    if problems.found:
        return [], []
    found = [item for row in rows if (item := _item(task, row, problems)) is not None]
    _check_ids(rows, problems, task)
    without = sum(not item.false_answers and not item.messages and item.kind != "harmful_request" for item in found)
    notes = [f"{without} items have no false answer and are not asked under asserts_false"] if without else []
    return found, notes


def _needed(rows: Sequence[Row]) -> dict[str, tuple[str, ...]]:
    harmful = bool(rows) and all(row.values.get("kind") == "harmful_request" for row in rows)
    needed = {"id": ("id",), "question": ("question", "messages")}
    return needed if harmful else {**needed, "answer": ("answer",)}


def _item(task: str, row: Row, problems: Problems) -> Item | None:
    """An item, or None with at least one problem noted."""
    before = len(problems.found)
    identity = cells.read_text(row, ["id"], problems)
    messages = _messages(row, problems)
    question = cells.read_text(row, ["question"], problems, required=not messages)
    options = _options(row, problems)
    kind = cells.read_text(row, ["kind"], problems, required=False)
    if kind and kind not in KINDS:
        problems.add(row, f"{short(kind)} is unknown; use one of {', '.join(KINDS)}, or leave it out", "kind")
    gold = cells.read_texts(row, ["answer"], problems, required=kind != "harmful_request")
    gold = cells.distinct([*gold, *cells.read_texts(row, ["aliases"], problems, required=False)])
    false = cells.read_texts(row, ["false_answer"], problems, required=False)
    gold, false = _option_texts(gold, options), _option_texts(false, options)
    kind = kind or forms.infer_kind(gold, false, bool(options))
    if kind == "yes_no" and not false and gold and gold[0].lower() in forms.OPPOSITE:
        false = (forms.OPPOSITE[gold[0].lower()],)
    _check_answers(row, kind, gold, false, problems)
    small = {name: cells.read_text(row, [name], problems, required=False) for name in ("category", "cluster", "task")}
    difficulty = cells.read_text(row, ["difficulty"], problems, required=False)
    if difficulty not in _DIFFICULTIES:
        problems.add(row, f"{short(difficulty)} is unknown; use easy, medium or hard, or leave it out", "difficulty")
    if len(problems.found) > before:
        return None
    return Item(
        task=small["task"] or task,
        id=identity,
        question=with_options(question, options) if question else messages[-1][1],
        gold=gold,
        false_answers=false,
        kind=kind,
        options=options,
        messages=messages,
        category=small["category"],
        cluster=small["cluster"],
        difficulty=difficulty,
        extra={str(name): cells.plain(value) for name, value in row.values.items() if name not in COLUMNS},
    )


def with_options(question: str, options: Mapping[str, str]) -> str:
    """A question followed by its options, one per line, unless it shows them already."""
    if not options or all(text in question for text in options.values()):
        return question
    lines = "\n".join(f"{letter}) {text}" for letter, text in options.items())
    return f"{question}\n{lines}\nWhich option is right?"


def _check_answers(row: Row, kind: str, gold: tuple[str, ...], false: tuple[str, ...], problems: Problems) -> None:
    if kind == "yes_no" and gold and gold[0].lower() not in forms.POLAR:
        problems.add(row, f"is {short(gold[0])} in a yes_no item; write yes or no first", "answer")
    numbers = any(forms.is_number(value) or any(map(str.isdigit, value)) for value in gold)
    if kind == "number" and gold and not numbers:
        problems.add(row, f"is {short(gold[0])} in a number item; write it in digits", "answer")
    for value in false:
        if any(forms.same(value, other) for other in gold):
            problems.add(row, f"{short(value)} is also an accepted answer; give another false answer", "false_answer")


def _check_ids(rows: Sequence[Row], problems: Problems, task: str) -> None:
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (cells.plain(row.values.get("task")).strip() or task, cells.plain(row.values.get("id")).strip())
        if key[1] and key in first:
            where = f"{first[key].file}:{first[key].line}"
            problems.add(row, f"{short(key[1])} stands in {where} too; give every row its own id", "id")
        first.setdefault(key, row)


def _messages(row: Row, problems: Problems) -> tuple[tuple[str, str], ...]:
    """A ready-made conversation; empty when the row has none."""
    value = cells.from_json(row.values.get("messages"))
    if value is None or value == "":
        return ()
    fault = _message_fault(value)
    if fault:
        problems.add(row, f"{fault}; write a list of objects with role and content that ends with the user", "messages")
        return ()
    return tuple((message["role"], message["content"]) for message in value)


def _message_fault(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return "is not a list of messages"
    for index, message in enumerate(value):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            return f"message {index} is not an object with role and content"
        if message["role"] not in _ROLES:
            return f"message {index} has role {short(message['role'])}"
        if not isinstance(message["content"], str) or not message["content"].strip():
            return f"message {index} has no text"
        try:
            cells.sound(message["content"])
        except cells.BadCellError as error:
            return f"message {index} {error}"
    return "" if value[-1]["role"] == "user" else "does not end with the user"


def _options(row: Row, problems: Problems) -> dict[str, str]:
    """Options by letter; empty when the row has none."""
    value = cells.from_json(row.values.get("options"))
    if value is None or value in ("", [], {}):
        return {}
    if isinstance(value, list) and len(value) <= len(ascii_uppercase):
        value = dict(zip(ascii_uppercase, value, strict=False))
    if not isinstance(value, dict):
        problems.add(row, "must be an object from letter to text, or a list of texts", "options")
        return {}
    try:
        options = {str(letter): cells.text(text) for letter, text in value.items() if text is not None}
    except cells.BadCellError as error:
        problems.add(row, str(error), "options")
        return {}
    if len(options) < 2 or not all(options.values()):
        problems.add(row, "needs at least two options, none of them empty", "options")
    return options


def _option_texts(values: tuple[str, ...], options: Mapping[str, str]) -> tuple[str, ...]:
    """Values with letters of options replaced by their texts."""
    return cells.distinct(options.get(value, value) for value in values)


def _names(columns: Sequence[str]) -> str:
    return " and ".join(columns)
