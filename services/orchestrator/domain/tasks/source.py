"""Files of a dataset, their rows, and the list of everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chassis.errors import CandorError, FieldViolation, Reason

MAX_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was found: its name, whose suffix says the format, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One record.

    Attributes:
        file: Name of its file.
        line: 1-based line in csv and jsonl, 1-based record in json and parquet.
        values: Cell by column name.
    """

    file: str
    line: int
    values: Mapping[str, Any]


@dataclass
class Problems:
    """Everything wrong with a dataset, said at once; the first 20 by name, the rest by number."""

    found: list[FieldViolation] = field(default_factory=list)

    def add(self, place: Row | str, text: str, column: str = "") -> None:
        """Note a problem. `place` is a row, or the name of a file for what concerns it as a whole."""
        where = f"{place.file}:{place.line}" if isinstance(place, Row) else place
        self.found.append(FieldViolation(f"{where}:{column}" if column else where, text))

    def raise_any(self, task: str) -> None:
        """Raise what was found.

        Raises:
            CandorError: BAD_DATASET with at most 20 violations.
        """
        if not self.found:
            return
        shown: Sequence[FieldViolation] = self.found[:MAX_PROBLEMS]
        more = len(self.found) - len(shown)
        count = "1 problem" if len(self.found) == 1 else f"{len(self.found)} problems"
        tail = f"; the first {MAX_PROBLEMS} are listed" if more else ""
        raise CandorError(Reason.BAD_DATASET, f"the data of task {task!r} has {count}{tail}", violations=tuple(shown))


def short(value: object) -> str:
    """A value for an error message: quoted, at most 40 characters."""
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")
