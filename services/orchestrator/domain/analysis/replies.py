"""Replies one by one, with their grades, in columns: the input of analyses that are not of pairs, and of tables from elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.statistics.pairs import Factor, Ints, Mask, PairTable

Codes = NDArray[np.int8]
REFERENCE = "reference"
TREATED = "treated"
_KEY = ("task", "item", "context", "belief")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replies:
    """Graded replies of any number of arms and models, a column an attribute, each of shape (rows,).

    Attributes:
        arm: Arm.
        model: Model that the arm was made from; one empty name where a table holds one model only.
        task: Task of the item.
        item: Id of the item within its task.
        cluster: Cluster of the item; empty where it stands alone.
        context: `none` or `group:level`.
        belief: Belief level.
        statement: Id of the interpersonal statement, or empty.
        repeat: Repeat index.
        verdict: Verdict code of `statistics.pairs`.
        adopts: 1, 0 or UNDECIDED.
        judged: Only a judge decided.
        length: Characters; 0 where not recorded.
        warmth: SocioT; NaN where unscored.
    """

    arm: Factor
    model: Factor
    task: Factor
    item: Factor
    cluster: Factor
    context: Factor
    belief: Factor
    statement: Factor
    repeat: Ints
    verdict: Codes
    adopts: Codes
    judged: Mask
    length: Ints
    warmth: NDArray[np.float64]

    @property
    def rows(self) -> int:
        """Replies."""
        return int(self.verdict.size)

    def take(self, rows: NDArray[np.generic]) -> Self:
        """A part of the rows (a mask or indices), names kept."""
        changed: dict[str, Any] = {}
        for spec in fields(self):
            value = getattr(self, spec.name)
            changed[spec.name] = value.take(rows) if isinstance(value, Factor) else value[rows]
        return replace(self, **changed)

    def present(self, column: str) -> tuple[str, ...]:
        """The names that occur in a column, sorted."""
        found: Factor = getattr(self, column)
        return tuple(found.names[code] for code in np.unique(found.codes).tolist())

    def unit(self) -> Ints:
        """Unit of clustering of each row: the item (over all models), or its cluster."""
        items = self.task.codes * max(1, len(self.item.names)) + self.item.codes
        named = ~self.cluster.among(("",))
        code = np.where(named, -1 - self.cluster.codes, items)
        _, unit = np.unique(code, return_inverse=True)
        return np.asarray(unit, dtype=np.int64)

    def key(self) -> Ints:
        """A number for each model, item, cell and repeat."""
        return number(self, ("model", *_KEY))

    def pairs(self, treated: str, reference: str) -> PairTable:
        """The pairs of two arms: rows of one model only, so filter first where there are several.

        Replies that the other arm has not are left out.
        """
        ref, trt = (self.take(self.arm.among((name,))) for name in (reference, treated))
        _, left, right = np.intersect1d(ref.key(), trt.key(), assume_unique=True, return_indices=True)
        ref, trt = ref.take(left), trt.take(right)

        def names(column: Factor) -> list[str]:
            return [column.names[code] for code in column.codes.tolist()]

        return PairTable.build(
            item=names(ref.item),
            task=names(ref.task),
            cluster=names(ref.cluster),
            context=names(ref.context),
            belief=names(ref.belief),
            statement=names(ref.statement),
            repeat=ref.repeat,
            verdict_ref=ref.verdict,
            verdict_trt=trt.verdict,
            adopts_ref=ref.adopts,
            adopts_trt=trt.adopts,
            judged=ref.judged | trt.judged,
            length_ref=ref.length,
            length_trt=trt.length,
            warmth_ref=ref.warmth,
            warmth_trt=trt.warmth,
        )


def number(replies: Replies, columns: Sequence[str]) -> Ints:
    """A number for each combination of these columns and the repeat."""
    code = np.zeros(replies.rows, dtype=np.int64)
    for name in columns:
        column: Factor = getattr(replies, name)
        code = code * max(1, len(column.names)) + column.codes
    return np.asarray(code * (int(replies.repeat.max(initial=0)) + 1) + replies.repeat)


def replies_of(table: PairTable) -> Replies:
    """Both arms' replies of a table of pairs; the arms are called REFERENCE and TREATED."""
    count = table.rows
    item = Factor.encode([table.item_keys[code][1] for code in range(len(table.item_keys))])
    # A unit that holds one item is that item; only a cluster needs a name.
    grouped = np.bincount(
        np.unique(np.stack([table.unit, table.item]), axis=1)[0] if count else table.unit, minlength=table.unit_count
    )
    names = ["" if grouped[unit] < 2 else f"cluster {unit}" for unit in range(table.unit_count)]
    cluster = Factor.encode(names)

    def twice(column: Factor) -> Factor:
        return Factor(np.concatenate([column.codes, column.codes]), column.names)

    both = np.concatenate
    return Replies(
        arm=Factor(np.repeat(np.arange(2), count), (REFERENCE, TREATED)),
        model=Factor.encode([""] * (2 * count)),
        task=twice(table.task),
        item=twice(Factor(item.codes[table.item], item.names)),
        cluster=twice(Factor(cluster.codes[table.unit], cluster.names)),
        context=twice(table.context),
        belief=twice(table.belief),
        statement=twice(table.statement),
        repeat=both([table.repeat, table.repeat]),
        verdict=both([table.verdict_ref, table.verdict_trt]),
        adopts=both([table.adopts_ref, table.adopts_trt]),
        judged=both([table.judged, table.judged]),
        length=both([table.length_ref, table.length_trt]),
        warmth=both([table.warmth_ref, table.warmth_trt]),
    )


def only(replies: Replies, **wanted: Collection[str]) -> Replies:
    """Rows whose columns have one of the wanted names."""
    mask = np.ones(replies.rows, dtype=np.bool_)
    for column, names in wanted.items():
        mask &= getattr(replies, column).among(names)
    return replies.take(mask)
