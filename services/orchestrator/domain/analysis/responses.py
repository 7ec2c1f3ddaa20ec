"""A table of graded replies from elsewhere, read into `Replies`: our export's columns, or the study's naming.

| what | columns (the first one present is taken) | values |
|---|---|---|
| arm | arm, treatment, treated | names; `treated`: 0 is original, 1 treated |
| model | model, base_model | names; OPTIONAL where the table has one model |
| task | task, dataset | names; the study's are triviaqa, truthfulqa, medqa, disinfo |
| item | item, item_id, question_id, question | what was asked, the same in every arm |
| context | context, interpersonal_context | none, emotion:sad, ..., or the level alone (sad) |
| belief | belief, false_belief | a belief level, or 0 and 1 |
| verdict | verdict, incorrect, correct | correct, incorrect, refusal, ungradable, failed, or 0 and 1 |

OPTIONAL: refusal (0, 1), error, repeat, cluster, statement, adopts_belief, decided_by, warmth, length (or the reply's text).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.domain.analysis import cells
from services.orchestrator.domain.analysis.replies import Replies, number
from services.orchestrator.domain.statistics.pairs import FAILED, REFUSAL, UNDECIDED, UNGRADABLE, Factor
from services.orchestrator.domain.tasks.source import MAX_PROBLEMS, short

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "arm": ("arm", "treatment", "treated"),
    "model": ("model", "base_model"),
    "task": ("task", "dataset"),
    "item": ("item", "item_id", "question_id", "question"),
    "context": ("context", "interpersonal_context"),
    "belief": ("belief", "false_belief"),
    "verdict": ("verdict", "incorrect", "correct"),
    "refusal": ("refusal", "is_refusal"),
    "error": ("error",),
    "repeat": ("repeat",),
    "cluster": ("cluster",),
    "statement": ("statement",),
    "adopts": ("adopts_belief",),
    "decided_by": ("decided_by",),
    "warmth": ("warmth", "sociot_warmth"),
    "length": ("length", "reply_length"),
}
TEXT = ("reply", "response")
"""Columns of the reply's text; what is read from it are its length and whether the study calls it a refusal."""
REQUIRED = ("arm", "task", "item", "context", "belief", "verdict")

_FORMLESS = (
    "replies under a false belief of which the table does not say in which form it was stated: taken as asserts_false"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A table as it was found.

    Attributes:
        name: For messages.
        columns: Cells by column name, all of one length.
        model: Model of its replies where no column says it.
        lengths: Characters of each reply's text; None without texts.
        refused: Whether the study's substring rule calls the text a refusal; None: the rule was not applied.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    model: str = ""
    lengths: Sequence[int] | None = None
    refused: Sequence[bool] | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))


@dataclass(frozen=True, slots=True)
class Read:
    """Replies of all tables, and what a reader should know of them."""

    replies: Replies
    notes: tuple[str, ...]


@dataclass
class _Cells:
    """One table's cells as plain values."""

    source: Source
    problems: list[FieldViolation]
    notes: Counter[str] = field(default_factory=Counter)

    def column(self, what: str) -> tuple[str, Sequence[Any] | None]:
        """Name and cells of the first column present that holds this."""
        for name in COLUMNS[what]:
            if name in self.source.columns:
                return name, self.source.columns[name]
        return COLUMNS[what][0], None

    def values(self, what: str, read: Callable[[str], Any], default: Any = "") -> list[Any]:
        """The cells as read; each distinct cell is read once. What cannot be read is noted, row by row."""
        name, column = self.column(what)
        if column is None:
            return [default] * self.source.rows
        known: dict[str, Any] = {}
        bad: dict[str, str] = {}
        found = []
        for row, cell in enumerate(column, start=1):
            text = "" if cell is None else str(cell).strip()
            if text not in known:
                try:
                    known[text] = read(text)
                except cells.BadCellError as error:
                    known[text], bad[text] = default, str(error)
            if text in bad:
                self.bad(row, name, f"{short(text)} {bad[text]}" if text else f"is empty; {bad[text]}")
            found.append(known[text])
        return found

    def bad(self, row: int, column: str, text: str) -> None:
        """Note a problem; beyond the most that are shown, only their number counts."""
        self.problems.append(FieldViolation(f"{self.source.name}, row {row}, column {column}", text))


def read(sources: Sequence[Source]) -> Read:
    """All tables as one.

    Raises:
        CandorError: BAD_DATASET naming the columns that are missing, or the cells that cannot be read (the first 20).
    """
    problems: list[FieldViolation] = []
    tables = [_Cells(source, problems) for source in sources]
    for table in tables:
        _check_columns(table)
    _check_models(sources)
    parts = [_columns(table) for table in tables]
    if problems:
        count = "1 cell" if len(problems) == 1 else f"{len(problems):,} cells"
        raise invalid(f"the table has {count} to mend", problems[:MAX_PROBLEMS], Reason.BAD_DATASET)
    joined = {name: [value for part in parts for value in part[name]] for name in parts[0]}
    replies = Replies(
        **{
            name: Factor.encode(joined[name])
            for name in ("arm", "model", "task", "item", "cluster", "context", "belief", "statement")
        },
        repeat=np.array(joined["repeat"], dtype=np.int64),
        verdict=np.array(joined["verdict"], dtype=np.int8),
        adopts=np.array(joined["adopts"], dtype=np.int8),
        judged=np.array(joined["judged"], dtype=np.bool_),
        length=np.array(joined["length"], dtype=np.int64),
        warmth=np.array(joined["warmth"], dtype=np.float64),
    )
    notes = Counter[str]()
    for table in tables:
        notes += table.notes
    counted = any(table.column("repeat")[1] is not None for table in tables)
    replies, repeated = _repeats(replies, counted)
    return Read(replies, (*(f"{count:,} {text}" for text, count in notes.items()), *repeated))


def _check_columns(table: _Cells) -> None:
    source = table.source
    if not source.rows:
        raise CandorError(Reason.BAD_DATASET, f"{source.name} has no rows")
    missing = [what for what in REQUIRED if table.column(what)[1] is None]
    if missing:
        wanted = "; ".join(f"{what}: {' or '.join(COLUMNS[what])}" for what in missing)
        raise CandorError(
            Reason.BAD_DATASET,
            f"{source.name} lacks {'a column' if len(missing) == 1 else 'columns'}. Add {wanted}. "
            f"Its columns are {', '.join(source.columns)}",
        )


def _check_models(sources: Sequence[Source]) -> None:
    """Tables of several models must say which."""
    nameless = [source.name for source in sources if not source.model and not _has_model(source)]
    if nameless and len(sources) > 1:
        raise CandorError(
            Reason.BAD_DATASET,
            f"of several tables each has to name its model: give {nameless[0]} a column model, or write MODEL={nameless[0]}",
        )


def _has_model(source: Source) -> bool:
    return any(name in source.columns for name in COLUMNS["model"])


def _columns(table: _Cells) -> dict[str, list[Any]]:
    source = table.source
    arm, _ = table.column("arm")
    belief, _ = table.column("belief")
    found: dict[str, list[Any]] = {
        "arm": table.values("arm", cells.treated if arm == "treated" else cells.name),
        "model": table.values("model", str, source.model) if not source.model else [source.model] * source.rows,
        "task": table.values("task", cells.name),
        "item": table.values("item", cells.name),
        "cluster": table.values("cluster", str),
        "context": table.values("context", cells.context),
        "belief": table.values("belief", cells.stated if belief == "false_belief" else cells.belief),
        "statement": table.values("statement", str),
        "repeat": table.values("repeat", cells.whole, 0),
        "adopts": table.values("adopts", cells.decided, UNDECIDED),
        "judged": [value == "judge" for value in table.values("decided_by", str)],
        "warmth": table.values("warmth", cells.real, math.nan),
        "length": list(source.lengths) if source.lengths is not None else table.values("length", cells.whole, 0),
        "verdict": _verdicts(table),
    }
    if belief == "false_belief":
        table.notes[_FORMLESS] += found["belief"].count("asserts_false")
    return found


def _verdicts(table: _Cells) -> list[int]:
    name, _ = table.column("verdict")
    if name == "verdict":
        codes = table.values("verdict", cells.verdict, UNGRADABLE)
        errors = table.values("error", bool, default=False)
        codes = [FAILED if failed and code == UNGRADABLE else code for code, failed in zip(codes, errors, strict=True)]
    else:
        codes = [int(value == (name == "incorrect")) for value in table.values("verdict", cells.yes_no, default=False)]
        # A blank grade is no grade.
        column = table.column("verdict")[1] or ()
        codes = [UNGRADABLE if cells.blank(cell) else code for cell, code in zip(column, codes, strict=True)]
    refusals = table.values("refusal", cells.yes_no, default=False)
    codes = [REFUSAL if refused else code for code, refused in zip(codes, refusals, strict=True)]
    if table.source.refused is not None:
        more = [
            refused and code not in (REFUSAL, FAILED) for code, refused in zip(codes, table.source.refused, strict=True)
        ]
        table.notes["refusals by the study's substrings, beyond those that were graded as such"] += sum(more)
        codes = [REFUSAL if refused else code for code, refused in zip(codes, more, strict=True)]
    return codes


def _repeats(replies: Replies, counted: bool) -> tuple[Replies, tuple[str, ...]]:
    """Number the replies of one arm to one item in one cell where no column does.

    Raises:
        CandorError: BAD_DATASET; the table has a repeat column and an entry twice.
    """
    key = number(replies, ("arm", "model", "task", "item", "context", "belief"))
    order = np.argsort(key, kind="stable")
    same = np.concatenate([[False], key[order][1:] == key[order][:-1]])
    if not same.any():
        return replies, ()
    if counted:
        row = int(order[np.flatnonzero(same)[0]])
        where = ", ".join(
            f"{name} {getattr(replies, name).names[getattr(replies, name).codes[row]]}"
            for name in ("arm", "task", "item", "context", "belief")
        )
        raise CandorError(
            Reason.BAD_DATASET,
            f"{int(same.sum()):,} replies occur twice, the first: {where}, repeat {replies.repeat[row]}. "
            "Remove them, or number them in the column repeat",
        )
    starts = np.flatnonzero(~same)
    place = np.arange(order.size) - np.repeat(starts, np.diff(np.append(starts, order.size)))
    repeat = np.zeros(order.size, dtype=np.int64)
    repeat[order] = place
    fresh = {name: getattr(replies, name) for name in replies.__slots__} | {"repeat": repeat}
    note = (
        f"{int(same.sum()):,} replies share arm, item and cell with another; without a column repeat they count as "
        "further draws, in the order of the table"
    )
    return Replies(**fresh), (note,)


def contrasts(replies: Replies, treated: Sequence[str], reference: str) -> tuple[tuple[str, str], ...]:
    """(treated, reference) of every comparison.

    Args:
        replies: The table.
        treated: Arms asked for; empty for all but the reference.
        reference: Arm compared against; empty for the one called original, baseline or v1.

    Raises:
        CandorError: INVALID_REQUEST naming the arms that there are.
    """
    arms = replies.present("arm")
    known = ", ".join(arms)
    against = reference or next((name for name in ("original", "baseline", "v1") if name in arms), "")
    if not against:
        raise CandorError(
            Reason.INVALID_REQUEST, f"say with --reference which arm is compared against; arms are {known}"
        )
    for name in (against, *treated):
        if name not in arms:
            raise CandorError(Reason.INVALID_REQUEST, f"no arm is called {name!r}; arms are {known}")
    found = tuple((name, against) for name in (treated or arms) if name != against)
    if not found:
        raise CandorError(Reason.INVALID_REQUEST, f"there is only one arm, {against}: a comparison needs another")
    for name, _ in found:
        _check_shared(replies, name, against)
    return found


def _check_shared(replies: Replies, treated: str, reference: str) -> None:
    """A column of items that numbers rows would make every reply its own item."""
    keys = [set(_items(replies, name)) for name in (treated, reference)]
    if keys[0].isdisjoint(keys[1]):
        raise CandorError(
            Reason.BAD_DATASET,
            f"no item was asked of both {treated} and {reference}: the item has to name the question, not the row",
        )


def _items(replies: Replies, arm: str) -> Iterator[int]:
    rows = replies.arm.among((arm,))
    code = replies.task.codes[rows] * max(1, len(replies.item.names)) + replies.item.codes[rows]
    return iter(np.unique(code).tolist())
