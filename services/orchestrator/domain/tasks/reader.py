"""Rows of csv, tsv, json, jsonl and parquet files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from services.orchestrator.domain.tasks.source import Problems, Row, SourceFile, short

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
_LISTS = ("data", "Data", "rows", "items", "questions", "examples")
_MAX_PARQUET_BYTES = 2**30


def read_rows(files: Sequence[SourceFile], problems: Problems) -> list[Row]:
    """All rows of all files, in order. Rows that cannot be read are noted in `problems` and left out."""
    rows: list[Row] = []
    for file in files:
        before = len(problems.found)
        own = list(_read(file, problems))
        if not own and len(problems.found) == before:
            problems.add(file.name, "has no rows; give at least one question")
        rows.extend(own)
    return rows


def _read(file: SourceFile, problems: Problems) -> Iterator[Row]:
    suffix = suffix_of(file.name)
    if suffix == ".parquet":
        yield from _parquet(file, problems)
        return
    if suffix not in SUFFIXES:
        problems.add(file.name, f"has no known suffix; save it as one of {', '.join(SUFFIXES)}")
        return
    try:
        text = file.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.data[: error.start].count(b"\n") + 1
        problems.add(Row(file.name, line, {}), "is not UTF-8; save the file as UTF-8")
        return
    if suffix in (".csv", ".tsv"):
        yield from _delimited(file.name, text, problems)
    elif suffix == ".json":
        yield from _json(file.name, text, problems)
    else:
        yield from _lines(file.name, text, problems)


def suffix_of(name: str) -> str:
    """The suffix in small letters, with its dot; empty without one."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "." + base.rsplit(".", 1)[1].lower() if "." in base else ""


def _delimited(name: str, text: str, problems: Problems) -> Iterator[Row]:
    """The delimiter is the one of comma, semicolon and tab that splits the header most."""
    header_line = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header_line.count), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        for column in sorted({cell for cell in header if header.count(cell) > 1}):
            problems.add(Row(name, 1, {}), f"column {short(column)} stands twice in the header; rename one")
        line = reader.line_num + 1
        for cells in reader:
            row = Row(name, line, dict(zip(header, cells, strict=False)))
            line = reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                problems.add(
                    row, f"has {len(cells)} cells and the header {len(header)}; quote cells that hold the delimiter"
                )
                continue
            yield row
    except csv.Error as error:
        problems.add(Row(name, reader.line_num, {}), f"cannot be read as csv ({error}); check its quotation marks")


def _json(name: str, text: str, problems: Problems) -> Iterator[Row]:
    value, fault = _parse(text)
    if fault:
        problems.add(name, f"is not JSON ({fault})")
        return
    if isinstance(value, dict):
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), value)
    if not isinstance(value, list):
        problems.add(name, "must be a list of objects, or an object that has one under `data`")
        return
    yield from _objects(name, list(enumerate(value, start=1)), problems)


def _lines(name: str, text: str, problems: Problems) -> Iterator[Row]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        value, fault = _parse(content)
        if fault:
            problems.add(Row(name, line, {}), f"is not JSON ({fault}); write one object per line")
            continue
        yield from _objects(name, [(line, value)], problems)


def _objects(name: str, values: Sequence[tuple[int, Any]], problems: Problems) -> Iterator[Row]:
    for line, value in values:
        if isinstance(value, dict):
            yield Row(name, line, value)
        else:
            problems.add(Row(name, line, {}), "must be a JSON object with one field per column")


def _parse(text: str) -> tuple[Any, str]:
    """A JSON value, or what is wrong with it. NaN is let through: the cell that holds it is named later."""
    try:
        return json.loads(text), ""
    except json.JSONDecodeError as error:
        return None, f"{error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:
        return None, "too deeply nested" if isinstance(error, RecursionError) else "a number is too long"


def _parquet(file: SourceFile, problems: Problems) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(io.BytesIO(file.data))
        groups = range(table.metadata.num_row_groups)
        size = sum(table.metadata.row_group(group).total_byte_size for group in groups)
        if size > _MAX_PARQUET_BYTES:
            problems.add(file.name, f"unpacks to {size} bytes; at most {_MAX_PARQUET_BYTES}: split it")
            return
        values = table.read().to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        problems.add(file.name, f"cannot be read as parquet ({type(error).__name__}); write it again")
        return
    yield from _objects(file.name, list(enumerate(values, start=1)), problems)
