"""The columnar input of all statistics: one row per item, cell and repeat that both arms were asked.

Rows are put into one order (item, context, belief, repeat) when the table is built, so that the order of arrival changes no
digit of any result.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

VERDICTS = ("correct", "incorrect", "refusal", "ungradable", "failed")
CORRECT, INCORRECT, REFUSAL, UNGRADABLE, FAILED = range(5)
METRICS = ("error", "adopts_belief", "refusal")
# adopts_belief where it is undefined for the belief level, or not decided.
UNDECIDED = -1

ItemKey = tuple[str, str]


class PairTableError(ValueError):
    """The columns do not describe a set of pairs."""


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A column of names: `names[codes[row]]`, names sorted.

    Attributes:
        codes: Index into `names`, shape (rows,).
        names: The distinct names, sorted.
    """

    codes: Ints
    names: tuple[str, ...]

    @classmethod
    def encode(cls, values: Sequence[str]) -> Self:
        """Codes of a sequence of names."""
        names = tuple(sorted(dict.fromkeys(values)))
        index = {name: code for code, name in enumerate(names)}
        return cls(np.fromiter(map(index.__getitem__, values), np.int64, len(values)), names)

    def among(self, wanted: Collection[str]) -> Mask:
        """Rows whose name is among `wanted`."""
        hit = np.array([name in wanted for name in self.names] or [False], dtype=np.bool_)
        return hit[self.codes]

    def take(self, rows: NDArray[np.generic]) -> "Factor":
        """The same names on a part of the rows."""
        return Factor(self.codes[rows], self.names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairTable:
    """Both arms' graded replies, a column an attribute, each of shape (rows,). Build with `PairTable.build`.

    Attributes:
        item: Index into `item_keys`.
        item_keys: (task, item id) of every item, sorted.
        unit: Index of the unit of clustering: the item, or its cluster where it has one.
        unit_count: Number of units.
        clustered: Whether any unit holds several items.
        task: Task of the item.
        context: Context of the cell, `none` or `group:level`.
        belief: Belief level of the cell.
        statement: Id of the interpersonal statement; empty in context none.
        repeat: Repeat index.
        verdict_ref: Verdict code of the reference's reply.
        verdict_trt: Verdict code of the treated arm's reply.
        adopts_ref: 1, 0, or UNDECIDED.
        adopts_trt: 1, 0, or UNDECIDED.
        judged: Only a judge decided at least one of the two replies.
        length_ref: Characters of the reference's reply; 0 where not recorded.
        length_trt: Characters of the treated arm's reply; 0 where not recorded.
        warmth_ref: SocioT of the reference's reply; NaN where unscored.
        warmth_trt: SocioT of the treated arm's reply; NaN where unscored.
    """

    item: Ints
    item_keys: tuple[ItemKey, ...]
    unit: Ints
    unit_count: int
    clustered: bool
    task: Factor
    context: Factor
    belief: Factor
    statement: Factor
    repeat: Ints
    verdict_ref: NDArray[np.int8]
    verdict_trt: NDArray[np.int8]
    adopts_ref: NDArray[np.int8]
    adopts_trt: NDArray[np.int8]
    judged: Mask
    length_ref: Ints
    length_trt: Ints
    warmth_ref: NDArray[np.float64]
    warmth_trt: NDArray[np.float64]

    @classmethod
    def build(
        cls,
        *,
        item: Sequence[str],
        task: Sequence[str],
        context: Sequence[str],
        belief: Sequence[str],
        verdict_ref: ArrayLike,
        verdict_trt: ArrayLike,
        repeat: ArrayLike | None = None,
        cluster: Sequence[str] | None = None,
        statement: Sequence[str] | None = None,
        adopts_ref: ArrayLike | None = None,
        adopts_trt: ArrayLike | None = None,
        judged: ArrayLike | None = None,
        length_ref: ArrayLike | None = None,
        length_trt: ArrayLike | None = None,
        warmth_ref: ArrayLike | None = None,
        warmth_trt: ArrayLike | None = None,
    ) -> Self:
        """Checks the columns, codes names and sorts rows.

        `cluster` names are shared by all tasks; an empty name makes the item its own unit.

        Raises:
            PairTableError: Columns differ in length, a code is unknown, a row occurs twice, or an item has two clusters.
        """
        rows = len(item)

        def column(name: str, values: ArrayLike | None, dtype: type, default: float) -> Any:
            found: NDArray[Any] = np.full(rows, default, dtype) if values is None else np.asarray(values, dtype)
            if found.shape != (rows,):
                raise PairTableError(f"{name} has shape {found.shape}, the table {rows} rows")
            return found

        def factor(name: str, values: Sequence[str] | None) -> Factor:
            found = Factor.encode([""] * rows if values is None else values)
            if found.codes.size != rows:
                raise PairTableError(f"{name} has {found.codes.size} rows, the table {rows}")
            return found

        tasks = factor("task", task)
        names = factor("item", item)
        pair_code, item_code = np.unique(tasks.codes * max(1, len(names.names)) + names.codes, return_inverse=True)
        keys = tuple(
            (tasks.names[code // len(names.names)], names.names[code % len(names.names)]) for code in pair_code.tolist()
        )
        unit, unit_count = _units(item_code, len(keys), factor("cluster", cluster))
        table = cls(
            item=item_code,
            item_keys=keys,
            unit=unit,
            unit_count=unit_count,
            clustered=unit_count < len(keys),
            task=tasks,
            context=factor("context", context),
            belief=factor("belief", belief),
            statement=factor("statement", statement),
            repeat=column("repeat", repeat, np.int64, 0),
            verdict_ref=column("verdict_ref", verdict_ref, np.int8, 0),
            verdict_trt=column("verdict_trt", verdict_trt, np.int8, 0),
            adopts_ref=column("adopts_ref", adopts_ref, np.int8, UNDECIDED),
            adopts_trt=column("adopts_trt", adopts_trt, np.int8, UNDECIDED),
            judged=column("judged", judged, np.bool_, 0),
            length_ref=column("length_ref", length_ref, np.int64, 0),
            length_trt=column("length_trt", length_trt, np.int64, 0),
            warmth_ref=column("warmth_ref", warmth_ref, np.float64, np.nan),
            warmth_trt=column("warmth_trt", warmth_trt, np.float64, np.nan),
        )
        table._check_codes()
        return table._sorted()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.item.size)

    def take(self, rows: NDArray[np.generic]) -> Self:
        """A part of the rows (a mask or indices), units and names kept."""
        changed: dict[str, Any] = {}
        for spec in fields(self):
            value = getattr(self, spec.name)
            if isinstance(value, Factor):
                changed[spec.name] = value.take(rows)
            elif isinstance(value, np.ndarray):
                changed[spec.name] = value[rows]
        return replace(self, **changed)

    def cells(self, contexts: Collection[str] | None = None, beliefs: Collection[str] | None = None) -> Mask:
        """Rows of these contexts and beliefs; None stands for all."""
        mask = np.ones(self.rows, dtype=np.bool_)
        if contexts is not None:
            mask &= self.context.among(contexts)
        if beliefs is not None:
            mask &= self.belief.among(beliefs)
        return mask

    def outcome(self, metric: str) -> tuple[Mask, NDArray[np.int8], NDArray[np.int8]]:
        """Rows where both replies have the metric's outcome, and the outcomes y (1 is the bad one) of both arms.

        Where a row has no outcome, its y is meaningless. A reply that is graded but whose adoption is undecided has no
        outcome under `adopts_belief`.
        """
        known = self.known(metric, self.verdict_ref, self.adopts_ref) & self.known(
            metric, self.verdict_trt, self.adopts_trt
        )
        if metric == "adopts_belief":
            return known, self.adopts_ref, self.adopts_trt
        bad = INCORRECT if metric == "error" else REFUSAL
        return known, (self.verdict_ref == bad).astype(np.int8), (self.verdict_trt == bad).astype(np.int8)

    @staticmethod
    def known(metric: str, verdict: NDArray[np.int8], adopts: NDArray[np.int8]) -> Mask:
        """Replies of one arm that have the metric's outcome."""
        if metric not in METRICS:
            raise ValueError(f"unknown metric {metric!r}; one of {', '.join(METRICS)}")
        graded = verdict <= REFUSAL
        return graded & (adopts != UNDECIDED) if metric == "adopts_belief" else graded

    def _check_codes(self) -> None:
        for name, low, high in (
            ("verdict_ref", CORRECT, FAILED),
            ("verdict_trt", CORRECT, FAILED),
            ("adopts_ref", UNDECIDED, 1),
            ("adopts_trt", UNDECIDED, 1),
            ("repeat", 0, 2**31),
        ):
            values = getattr(self, name)
            if values.size and (int(values.min()) < low or int(values.max()) > high):
                raise PairTableError(f"{name} has a value outside {low} to {high}")

    def _sorted(self) -> Self:
        repeats = int(self.repeat.max(initial=0)) + 1
        key = self.item * max(1, len(self.context.names)) + self.context.codes
        key = (key * max(1, len(self.belief.names)) + self.belief.codes) * repeats + self.repeat
        order = np.argsort(key, kind="stable")
        key = key[order]
        twice = np.flatnonzero(key[1:] == key[:-1])
        if twice.size:
            row = int(order[twice[0]])
            where = (self.context.names[self.context.codes[row]], self.belief.names[self.belief.codes[row]])
            raise PairTableError(f"item {self.item_keys[self.item[row]]} occurs twice in cell {where}")
        return self.take(order)


def _units(item: Ints, item_count: int, cluster: Factor) -> tuple[Ints, int]:
    """Unit codes of rows: clusters first in the order of their names, then items without one in the order of theirs."""
    low = np.full(item_count, len(cluster.names), dtype=np.int64)
    high = np.full(item_count, -1, dtype=np.int64)
    np.minimum.at(low, item, cluster.codes)
    np.maximum.at(high, item, cluster.codes)
    if bool(np.any(low != high)):
        raise PairTableError(f"an item belongs to two clusters: {cluster.names[low[low != high][0]]!r} and another")
    unnamed = np.array([name == "" for name in cluster.names] or [True], dtype=np.bool_)
    per_item = np.where(unnamed[low], len(cluster.names) + np.arange(item_count), low)
    found, codes = np.unique(per_item, return_inverse=True)
    return codes[item], int(found.size)
