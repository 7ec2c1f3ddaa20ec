"""Tables of graded replies from files. Of a reply's text only its length is kept, and whether the study calls it a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from candor_cli.tables import read_rows
from chassis.errors import CandorError, Reason
from services.orchestrator.domain.analysis.responses import COLUMNS, TEXT, Source

Refuses = Callable[[str], bool]
_BATCH_ROWS = 20_000
_KNOWN = frozenset(name for names in COLUMNS.values() for name in names)


def named(argument: str) -> tuple[str, Path]:
    """Model and path of an argument `[MODEL=]FILE`."""
    path = Path(argument)
    model, sign, rest = argument.partition("=")
    if path.exists() or not sign:
        return "", path
    return model, Path(rest)


def read_source(argument: str, refuses: Refuses | None) -> Source:
    """A table. Parquet is read in batches and by column, so that its texts never lie in memory together.

    Args:
        argument: `FILE`, or `MODEL=FILE`.
        refuses: The study's refusal rule, to be applied to the texts; None: it is not.

    Raises:
        CandorError: BAD_DATASET.
    """
    model, path = named(argument)
    if path.is_dir():
        inside = path / "results" / "responses.parquet"
        if not inside.exists():
            raise CandorError(Reason.BAD_DATASET, f"{path} is a folder without results/responses.parquet; name a table")
        path = inside
    stored = path.suffix.lower() == ".parquet" and path.exists()
    batches = _parquet(path) if stored else iter([read_rows(path)])
    columns: dict[str, list[Any]] = {}
    lengths: list[int] = []
    refused: list[bool] = []
    text_column = ""
    rows = 0
    for batch in batches:
        names = list(dict.fromkeys(name for row in batch for name in row))
        text_column = text_column or next((name for name in TEXT if name in names), "")
        for name in names:
            if name in _KNOWN:
                columns.setdefault(name, [None] * rows).extend(row.get(name) for row in batch)
        rows += len(batch)
        for column in columns.values():
            column.extend([None] * (rows - len(column)))
        if text_column:
            texts = [str(row.get(text_column) or "") for row in batch]
            lengths += map(len, texts)
            if refuses is not None:
                refused += map(refuses, texts)
    return Source(
        name=str(path),
        columns=columns or {"": [None] * rows},
        model=model,
        lengths=lengths if text_column else None,
        refused=refused if text_column and refuses is not None else None,
    )


def _parquet(path: Path) -> Iterator[Sequence[dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            present = file.schema_arrow.names
            text = [name for name in TEXT if name in present][:1]
            for batch in file.iter_batches(_BATCH_ROWS, columns=[*(n for n in present if n in _KNOWN), *text]):
                yield batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise CandorError(
            Reason.BAD_DATASET, f"{path} cannot be read as parquet ({type(error).__name__}); write it again"
        ) from error
