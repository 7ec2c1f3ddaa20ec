"""Tables that commands read and write: csv, json, jsonl, parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from chassis.storage import storage_error
from services.orchestrator.domain.tasks.reader import read_rows as read_source
from services.orchestrator.domain.tasks.source import Problems, SourceFile

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST_NAMED = 20


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, cells by column name.

    Raises:
        CandorError: BAD_DATASET naming every line that cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CandorError(Reason.BAD_DATASET, f"{path}: {error.strerror}") from error
    problems = Problems()
    rows = read_source([SourceFile(path.name, data)], problems)
    for row in rows:
        for name, value in row.values.items():
            if not encodable(str(value)):
                problems.add(row, "holds half of a character (an unpaired surrogate); write it whole", str(name))
    problems.raise_any(path.name)
    return [dict(row.values) for row in rows]


def encodable(text: str) -> bool:
    """Whether UTF-8 can hold a text; JSON and YAML can spell half of a surrogate pair, which it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Check that every row has a value in each of these columns.

    Raises:
        CandorError: BAD_DATASET naming the rows (the first 20).
    """
    absent = [name for name in columns if not any(name in row for row in rows)]
    if absent:
        found = ", ".join(rows[0])
        raise CandorError(Reason.BAD_DATASET, f"{path}: no column {', '.join(absent)}; its columns are {found}")
    problems = [
        FieldViolation(f"row {index}.{name}", "is empty")
        for index, row in enumerate(rows, start=1)
        for name in columns
        if row.get(name) in (None, "", [])
    ]
    if problems:
        raise invalid(f"{path}: {len(problems):,} empty cells to fill", problems[:_MOST_NAMED], Reason.BAD_DATASET)


def as_list(value: Any) -> list[str]:
    """A cell that may hold several texts: a list, a JSON list, or one text."""
    if value is None or value == "":
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return [value]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table in the format of its suffix, whole or not at all.

    Raises:
        CandorError: INVALID_REQUEST for an unknown suffix; DISK_FULL, STORAGE_UNUSABLE when it cannot be written.
    """
    writers = {".csv": _csv, ".jsonl": _jsonl, ".json": _json, ".parquet": _parquet}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise CandorError(Reason.INVALID_REQUEST, f"{path}: name a file that ends in {', '.join(writers)}")
    _put(path, write(rows))


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        CandorError: DISK_FULL, STORAGE_UNUSABLE when it cannot be written.
    """
    _put(path, text.encode())


def _put(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise storage_error(error, f"cannot write {path}") from error


def formula_safe(text: str) -> str:
    """A csv cell that no spreadsheet takes for a formula: an apostrophe before =, +, -, @ unless it is a number."""
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    columns = _columns(rows)
    writer.writerow(map(formula_safe, columns))
    for row in rows:
        writer.writerow([formula_safe(_cell(row.get(name))) for name in columns])
    return buffer.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _jsonl(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows).encode()


def _json(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps(list(rows), ensure_ascii=False, indent=1, default=str).encode()


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array([_cell(row.get(name)) for row in rows], pa.string()) for name in _columns(rows)}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())
