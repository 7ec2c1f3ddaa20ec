"""Cells as text: what a column may hold, in every format, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.orchestrator.domain import wording
from services.orchestrator.domain.tasks.reader import suffix_of
from services.orchestrator.domain.tasks.source import Problems, Row


class BadCellError(ValueError):
    """A cell that holds no usable text; the message says why and how to mend it."""


def lookup(row: Row, names: Sequence[str]) -> tuple[str, Any]:
    """The first of these columns that the row has, with its value; the first name and None when it has none."""
    for name in names:
        if name in row.values:
            return name, row.values[name]
    return names[0], None


def text(value: Any) -> str:
    """One text, tidied; empty for a missing value. Whole floats lose `.0`; true and false become yes and no.

    Raises:
        BadCellError: NaN, a list or an object, or text that UTF-8 cannot hold.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadCellError("is not a number (NaN); write the text, or leave it out")
        return str(int(value)) if value.is_integer() else str(value)
    if not isinstance(value, str | int):
        raise BadCellError(f"holds {_kind(value)}; write text")
    value = str(value)
    if value.strip().lower() == "nan":
        raise BadCellError("is NaN; write the text, or leave it empty")
    return wording.tidy(sound(value))


def sound(value: str) -> str:
    """The text itself.

    Raises:
        BadCellError: It has half of a surrogate pair, which no UTF-8 file can hold.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadCellError("holds a broken character (half of a surrogate pair); write it again") from error
    return value


def texts(value: Any, row: Row) -> tuple[str, ...]:
    """Several texts: a list, a JSON list in a csv cell, or texts separated by `|` in a csv cell; duplicates dropped.

    A csv answer that itself holds `|` is written as a JSON list: `["P(A|B)"]`.

    Raises:
        BadCellError: As `text`, for any of them.
    """
    if isinstance(value, str) and suffix_of(row.file) in (".csv", ".tsv"):
        value = from_json(value) if value.lstrip().startswith("[") else value
        value = value.split("|") if isinstance(value, str) else value
    values = value if isinstance(value, list | tuple) else [value]
    return distinct(text(item) for item in values)


def from_json(value: Any) -> Any:
    """The value of a JSON text; the text itself when it is not JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def distinct(values: Iterable[str]) -> tuple[str, ...]:
    """Values without blanks and repetitions, in order."""
    return tuple(dict.fromkeys(value for value in values if value))


def plain(value: Any) -> str:
    """Any value as text, for columns that are only kept."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    kept = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return kept.encode(errors="replace").decode()


def read_text(row: Row, names: Sequence[str], problems: Problems, *, required: bool = True) -> str:
    """The text of a column; a problem is noted when it cannot be used, or is empty though required."""
    name, value = lookup(row, names)
    try:
        found = text(value)
    except BadCellError as error:
        problems.add(row, str(error), name)
        return ""
    if required and not found:
        problems.add(row, "is empty; fill it in or remove the row", name)
    return found


def read_texts(row: Row, names: Sequence[str], problems: Problems, *, required: bool = True) -> tuple[str, ...]:
    """The texts of a column, as `read_text`."""
    name, value = lookup(row, names)
    try:
        found = texts(value, row)
    except BadCellError as error:
        problems.add(row, str(error), name)
        return ()
    if required and not found:
        problems.add(row, "is empty; fill it in or remove the row", name)
    return found


def missing_columns(rows: Sequence[Row], needed: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """For each file, the needed columns that none of its rows has; `needed` gives the spellings of each."""
    seen: dict[str, set[str]] = {}
    for row in rows:
        seen.setdefault(row.file, set()).update(row.values)
    absent = {
        file: [column for column, names in needed.items() if not columns & set(names)] for file, columns in seen.items()
    }
    return {file: columns for file, columns in absent.items() if columns}


def _kind(value: Any) -> str:
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else "no text"


def require(rows: Sequence[Row], needed: Mapping[str, Sequence[str]], task: str, problems: Problems) -> None:
    """Note every file that lacks a needed column of a public dataset."""
    for file, columns in missing_columns(rows, needed).items():
        absent = ", ".join("/".join(needed[column]) for column in columns)
        problems.add(
            file, f"lacks {absent}; it is not a {task} file (to use columns of your own, give the task another name)"
        )
