"""Small files in every format, and a loader that shows what is wrong with one."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import SourceFile, load

# Two shared cores are slow at times, and CI must not depend on luck.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

Rows = Sequence[Mapping[str, Any]]


def write_csv(rows: Rows, name: str = "my.csv") -> SourceFile:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return SourceFile(name, stream.getvalue().encode())


def write_jsonl(rows: Rows, name: str = "my.jsonl") -> SourceFile:
    return SourceFile(name, "".join(json.dumps(row) + "\n" for row in rows).encode())


def write_json(rows: Rows, name: str = "my.json") -> SourceFile:
    return SourceFile(name, json.dumps(rows).encode())


def write_parquet(rows: Rows, name: str = "my.parquet") -> SourceFile:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), stream)
    return SourceFile(name, stream.getvalue())


WRITERS: dict[str, Callable[[Rows], SourceFile]] = {
    "csv": write_csv,
    "json": write_json,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


def problems_of(name: str, file: SourceFile) -> list[str]:
    """Every problem as `place: text`."""
    with pytest.raises(CandorError) as caught:
        load(name, [file], 1)
    assert caught.value.reason is Reason.BAD_DATASET
    assert not caught.value.retryable
    return [str(violation) for violation in caught.value.violations]


def items_of(name: str, file: SourceFile, seed: int = 1) -> tuple[Item, ...]:
    return load(name, [file], seed).items


@pytest.fixture
def writers() -> dict[str, Callable[[Rows], SourceFile]]:
    return WRITERS


@pytest.fixture
def jsonl() -> Callable[..., SourceFile]:
    return write_jsonl


@pytest.fixture
def problems() -> Callable[[str, SourceFile], list[str]]:
    return problems_of


@pytest.fixture
def items() -> Callable[..., tuple[Item, ...]]:
    return items_of
