"""Parquet tables: every reply, every line of every comparison, every gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import IO, Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from services.orchestrator.domain.gate.result import GateResult
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.report import Report

_ROWS_PER_GROUP = 20_000
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def write_responses(rows: Iterable[Record], file: IO[bytes]) -> None:
    """Stream replies into row groups of 20,000; the prompt is one text."""
    schema = _schema(Record)
    prompt = schema.get_field_index("prompt")
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        iterator = iter(rows)
        while chunk := list(islice(iterator, _ROWS_PER_GROUP)):
            columns: list[Any] = list(zip(*chunk, strict=True))
            columns[prompt] = list(map(prompt_text, columns[prompt]))
            writer.write_table(pa.table(columns, schema=schema))


def prompt_text(messages: Sequence[tuple[str, str]]) -> str:
    """A conversation as text; a single user turn stands alone."""
    if len(messages) == 1:
        return messages[0][1]
    return "\n\n".join(f"{role}: {content}" for role, content in messages)


def write_gates(report: Report, file: IO[bytes]) -> None:
    """One row for each gate and candidate."""
    _write([asdict(gate) for gate in report.gates], _schema(GateResult), file)


def write_comparisons(report: Report, file: IO[bytes]) -> None:
    """One row for each comparison, metric, task, context and belief."""
    rows = list(_comparison_rows(report))
    schema = pa.Table.from_pylist(rows).schema if rows else pa.schema([("comparison", pa.string())])
    _write(rows, schema, file)


def _comparison_rows(report: Report) -> Iterator[dict[str, Any]]:
    for comparison in report.comparisons:
        head = {"comparison": comparison.name, "treated": comparison.treated, "reference": comparison.reference}
        for table in (comparison.rows, comparison.study_rows, comparison.adoption, comparison.refusals):
            for row in table:
                yield head | asdict(row)


def _schema(kind: type) -> pa.Schema:
    """Arrow schema of a flat dataclass or named tuple.

    Texts in a tuple are a list; a value that may be None has the type it otherwise has; other types are text.
    """
    columns = []
    for name, hint in get_type_hints(kind).items():
        if hint == tuple[str, ...]:
            columns.append((name, pa.list_(pa.string())))
            continue
        plain = [option for option in get_args(hint) or (hint,) if option in _TYPES]
        columns.append((name, _TYPES[plain[0]] if len(plain) == 1 else pa.string()))
    return pa.schema(columns)


def _write(rows: list[dict[str, Any]], schema: pa.Schema, file: IO[bytes]) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")
