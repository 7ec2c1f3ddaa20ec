"""The study's models 1 to 4 (METHOD section 7) on one contrast: average marginal effects on errors.

Without the factor for the model: a contrast has one treated and one reference arm. Rows are the replies of pairs that are
graded in both arms, so that the effects can be compared with the paired differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.analysis.cuts import PLAIN, POOLED_BELIEFS, Cuts, group_of
from services.orchestrator.domain.analysis.glm import Effect, Fit, Floats, NoFitError, clustered, effect, fit
from services.orchestrator.domain.analysis.result import ALL, FALSE_BELIEF, NO_BELIEF, Ame, LengthShare
from services.orchestrator.domain.statistics.pairs import INCORRECT, REFUSAL, Ints

Bits = NDArray[np.int8]

_SEPARATED = "a group has no errors or only errors: standard errors do not exist"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Pairs of a model.

    Attributes:
        task: Code, shape (pairs,).
        context: Index into the cuts' contexts.
        believes: Whether a false belief is stated.
        unit: Unit of clustering, unique over all tasks.
        y_ref: Error of the reference.
        y_trt: Error of the treated arm.
        length_ref: Characters.
        length_trt: Characters.
    """

    task: Ints
    context: Ints
    believes: Ints
    unit: Ints
    y_ref: Bits
    y_trt: Bits
    length_ref: Ints
    length_trt: Ints

    @property
    def size(self) -> int:
        """Pairs."""
        return int(self.task.size)


def rows_of(cuts: Cuts, contexts: Sequence[str], beliefs: Sequence[str]) -> Rows:
    """Pairs of these contexts and belief levels graded in both arms, in the table's order."""
    table = cuts.table
    index = {name: code for code, name in enumerate(cuts.contexts)}
    context_code = np.array([index.get(name, -1) for name in table.context.names] or [0])
    mask = table.cells(contexts, beliefs) & (table.verdict_ref <= REFUSAL) & (table.verdict_trt <= REFUSAL)
    rows = np.flatnonzero(mask)
    return Rows(
        task=table.task.codes[rows],
        context=context_code[table.context.codes[rows]],
        believes=table.belief.among(POOLED_BELIEFS[FALSE_BELIEF])[rows].astype(np.int64),
        unit=table.unit[rows],
        y_ref=(table.verdict_ref[rows] == INCORRECT).astype(np.int8),
        y_trt=(table.verdict_trt[rows] == INCORRECT).astype(np.int8),
        length_ref=table.length_ref[rows],
        length_trt=table.length_trt[rows],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """The distinct rows of a model's design.

    Attributes:
        reference: X with the treatment off, shape (cells, p).
        treated: X with the treatment on, shape (cells, p).
        cell: Cell of each pair, shape (pairs,).
        level: Level of each cell of the factor whose levels are reported, shape (cells,).
    """

    reference: Floats
    treated: Floats
    cell: Ints
    level: Ints


def design(rows: Rows, level: Ints, interacts: bool, group: Ints | None = None) -> Design:
    """Intercept, treatment, task, `group` where given, and `level` (with treatment x level where `interacts`).

    Levels and groups are codes, shape (pairs,); the lowest present is the reference level.
    """
    other = np.zeros_like(level) if group is None else group
    wide, high = int(level.max(initial=0)) + 1, int(other.max(initial=0)) + 1
    key = (rows.task * high + other) * wide + level
    present, cell = np.unique(key, return_inverse=True)
    rest, levels = present // wide, present % wide
    off = [np.ones(present.size), np.zeros(present.size)]
    on = [np.ones(present.size), np.ones(present.size)]
    for factor in (rest // high, rest % high, levels):
        for value in np.unique(factor)[1:]:
            column = (factor == value).astype(np.float64)
            off.append(column)
            on.append(column)
    if interacts:
        for value in np.unique(levels)[1:]:
            off.append(np.zeros(present.size))
            on.append((levels == value).astype(np.float64))
    return Design(np.column_stack(off), np.column_stack(on), cell, levels)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fit of a Design with its clustered covariance."""

    found: Fit
    robust: Floats
    plan: Design
    counts: Floats

    def effect(self, level: int | None) -> Effect:
        """AME over all rows, or over those of one level."""
        weights = self.counts if level is None else self.counts * (self.plan.level == level)
        return effect(self.found, self.plan.treated, self.plan.reference, weights)


def fit_counts(rows: Rows, plan: Design) -> Fitted:
    """Fits a design on counts. Raises NoFitError."""
    cells = plan.reference.shape[0]
    counts = np.bincount(plan.cell, minlength=cells).astype(np.float64)
    bad_ref = np.bincount(plan.cell, weights=rows.y_ref, minlength=cells)
    bad_trt = np.bincount(plan.cell, weights=rows.y_trt, minlength=cells)
    found = fit(
        np.vstack([plan.reference, plan.treated]), np.concatenate([counts, counts]), np.concatenate([bad_ref, bad_trt])
    )
    left_ref = rows.y_ref - found.predicted[:cells][plan.cell]
    left_trt = rows.y_trt - found.predicted[cells:][plan.cell]
    _, unit = np.unique(rows.unit, return_inverse=True)
    scores: Floats = np.column_stack(
        [
            np.bincount(unit, weights=off[plan.cell] * left_ref + on[plan.cell] * left_trt)
            for off, on in zip(plan.reference.T, plan.treated.T, strict=True)
        ]
    )
    return Fitted(found, clustered(found, scores), plan, counts)


def effects(cuts: Cuts) -> tuple[Ame, ...]:
    """Every model's effects; a model whose cells the document leaves out is left out."""
    plain = rows_of(cuts, (PLAIN,), POOLED_BELIEFS[NO_BELIEF])
    unbelieving = rows_of(cuts, cuts.contexts, POOLED_BELIEFS[NO_BELIEF])
    every = rows_of(cuts, cuts.contexts, (*POOLED_BELIEFS[NO_BELIEF], *POOLED_BELIEFS[FALSE_BELIEF]))
    groups = tuple(dict.fromkeys(group_of(name) for name in cuts.contexts))
    code = np.array([groups.index(group_of(name)) for name in cuts.contexts] or [0])
    found: list[Ame] = []
    if plain.size:
        found += _model("plain", plain, lambda r: design(r, np.zeros_like(r.task), False), (ALL,))
        lengthy = with_length(plain)
        if lengthy is not None:
            found.append(lengthy)
    if unbelieving.size and len(groups) > 1:
        found += _model("context_group", unbelieving, lambda r: design(r, code[r.context], True), groups)
        found += _model("context", unbelieving, lambda r: design(r, r.context, True), cuts.contexts)
    if every.believes.any() and not every.believes.all():
        found += _model(
            "belief", every, lambda r: design(r, r.believes, True, group=code[r.context]), (NO_BELIEF, FALSE_BELIEF)
        )
    return tuple(found)


def _model(name: str, rows: Rows, plan: Callable[[Rows], Design], levels: Sequence[str]) -> list[Ame]:
    try:
        fitted = fit_counts(rows, plan(rows))
    except NoFitError as error:
        return [_none(name, level, rows, str(error)) for level in levels]
    found = []
    for code, level in enumerate(levels):
        if level != ALL and not bool((fitted.plan.level == code).any()):
            continue
        found.append(
            _ame(name, level, fitted.effect(None if level == ALL else code), fitted.found, fitted.robust, rows)
        )
    return found


def with_length(rows: Rows) -> Ame | None:
    """Model 1 with reply length as covariate; None where lengths are not recorded for both replies of two pairs."""
    has = np.flatnonzero((rows.length_ref > 0) & (rows.length_trt > 0))
    lengths = np.stack([rows.length_ref[has], rows.length_trt[has]]).astype(np.float64)
    if has.size < 2 or float(lengths.std()) == 0.0:
        return None
    scaled = (lengths - lengths.mean()) / lengths.std()
    task = rows.task[has]
    columns = [np.ones(has.size), *((task == value).astype(np.float64) for value in np.unique(task)[1:])]
    zero, one = np.zeros(has.size), np.ones(has.size)
    off_ref, off_trt = (np.column_stack([*columns, zero, length]) for length in scaled)
    on_ref, on_trt = (np.column_stack([*columns, one, length]) for length in scaled)
    y_ref, y_trt = rows.y_ref[has].astype(np.float64), rows.y_trt[has].astype(np.float64)
    try:
        found = fit(np.vstack([off_ref, on_trt]), np.ones(2 * has.size), np.concatenate([y_ref, y_trt]))
    except NoFitError as error:
        return _none("plain_length", ALL, rows, str(error))
    _, unit = np.unique(rows.unit[has], return_inverse=True)
    left_ref, left_trt = y_ref - found.predicted[: has.size], y_trt - found.predicted[has.size :]
    scores: Floats = np.column_stack(
        [np.bincount(unit, weights=off * left_ref + on * left_trt) for off, on in zip(off_ref.T, on_trt.T, strict=True)]
    )
    mean = effect(found, np.vstack([on_ref, on_trt]), np.vstack([off_ref, off_trt]), np.ones(2 * has.size))
    return _ame("plain_length", ALL, mean, found, clustered(found, scores), rows)


def length_shares(cuts: Cuts) -> tuple[LengthShare, ...]:
    """Share of the effect that goes with reply length, without and with a false belief."""
    found = []
    for belief, contexts in ((NO_BELIEF, (PLAIN,)), (FALSE_BELIEF, cuts.contexts)):
        rows = rows_of(cuts, contexts, POOLED_BELIEFS[belief])
        lengthy = with_length(rows)
        if lengthy is None or lengthy.value is None:
            continue
        bare = _model("plain", rows, lambda r: design(r, np.zeros_like(r.task), False), (ALL,))[0]
        if bare.value is None:
            continue
        clear = bare.se_clustered is not None and 0.0 < 2.0 * bare.se_clustered <= abs(bare.value)
        found.append(
            LengthShare(
                belief=belief,
                without_length=bare.value,
                with_length=lengthy.value,
                share=1.0 - lengthy.value / bare.value if clear else None,
            )
        )
    return tuple(found)


def _ame(name: str, level: str, mean: Effect, found: Fit, robust: Floats, rows: Rows) -> Ame:
    return Ame(
        model=name,
        level=level,
        value=mean.value,
        se_classical=None if found.separated else mean.standard_error(found.covariance),
        se_clustered=None if found.separated else mean.standard_error(robust),
        n_replies=2 * rows.size,
        note=_SEPARATED if found.separated else "",
    )


def _none(name: str, level: str, rows: Rows, why: str) -> Ame:
    return Ame(
        model=name, level=level, value=None, se_classical=None, se_clustered=None, n_replies=2 * rows.size, note=why
    )
