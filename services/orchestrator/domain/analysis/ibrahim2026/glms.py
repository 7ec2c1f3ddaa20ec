"""The study's logit GLMs 1 to 4 with average marginal effects, classical and clustered errors side by side (METHOD section 7).

1. treated + task + model, plain questions (with reply length as covariate as well);
2. the same + context group + treated x context group, no belief; 3. with the single contexts in place of the groups;
4. treated + context group + task + model + belief + treated x belief, everything.
A factor of one level is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.orchestrator.domain.analysis.cuts import PLAIN
from services.orchestrator.domain.analysis.glm import Effect, Fit, Floats, NoFitError, clustered, effect, fit
from services.orchestrator.domain.analysis.ibrahim2026 import figures
from services.orchestrator.domain.analysis.ibrahim2026.result import StudyModel, Value
from services.orchestrator.domain.analysis.ibrahim2026.selection import Selected
from services.orchestrator.domain.analysis.result import ALL, FALSE_BELIEF, NO_BELIEF
from services.orchestrator.domain.statistics.pairs import Ints, Mask

INCREMENT = "increment"
_SEPARATED = "a group has no errors or only errors: standard errors do not exist"
_CONFOUNDED = "two of its factors cannot be told apart in these rows: coefficients are not unique, and without errors"
# Beyond it the information matrix cannot be told from a singular one.
_MOST_CONDITION = 1e10


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    """A factor: its name, the code of each row, the names of its levels; level 0 is the reference."""

    name: str
    codes: Ints
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """The distinct rows of a model's design, with the treatment off and on.

    Attributes:
        off: X without the treatment, shape (cells, p).
        on: X with it, shape (cells, p).
        cell: Cell of each row, shape (rows,).
        level: Level of each cell of the factor that the treatment interacts with, shape (cells,); zeros without one.
        names: Of the columns.
    """

    off: Floats
    on: Floats
    cell: Ints
    level: Ints
    names: tuple[str, ...]


def glms(rows: Selected, arm: str) -> tuple[StudyModel, ...]:
    """Every model that the rows allow, in order.

    Args:
        rows: The study's rows.
        arm: Published arm whose figures stand beside, or empty.
    """
    plain = _mask(rows, contexts=(PLAIN,)) & (rows.believes == 0)
    unbelieving = rows.believes == 0
    found = []
    if plain.any():
        found.append(_model(rows, arm, "model_1", plain, (), None))
        lengthy = plain & (rows.replies.length > 0)
        if lengthy.any() and float(rows.replies.length[lengthy].std()) > 0.0:
            found.append(_with_length(rows, arm, lengthy))
    if unbelieving.any() and len(rows.groups) > 1:
        group = _Term("context group", rows.group, rows.groups)
        context = _Term("context", rows.context, rows.contexts)
        found.append(_model(rows, arm, "model_2", unbelieving, (), group))
        found.append(_model(rows, arm, "model_3", unbelieving, (), context))
    if unbelieving.any() and not unbelieving.all():
        group = _Term("context group", rows.group, rows.groups)
        belief = _Term("belief", rows.believes, (NO_BELIEF, FALSE_BELIEF))
        found.append(_model(rows, arm, "model_4", np.ones_like(unbelieving), (group,), belief))
    return tuple(found)


def _mask(rows: Selected, contexts: Sequence[str]) -> Mask:
    return rows.replies.context.among(contexts)


def _terms(rows: Selected) -> tuple[_Term, ...]:
    return _Term("task", rows.task, rows.tasks), _Term("model", rows.model, rows.models)


def _model(
    rows: Selected, arm: str, name: str, mask: Mask, extra: tuple[_Term, ...], interacting: _Term | None
) -> StudyModel:
    at = np.flatnonzero(mask)
    terms = [_Term(term.name, term.codes[at], term.levels) for term in (*extra, *_terms(rows))]
    level = None if interacting is None else _Term(interacting.name, interacting.codes[at], interacting.levels)
    treated, error, unit = rows.treated[at], rows.error[at], _compact(rows.unit[at])
    used = [term for term in terms if np.unique(term.codes).size > 1]
    formula = " + ".join(["treated", *(term.name for term in used)])
    if level is not None:
        formula += f" + {level.name} + treated x {level.name}"
    base = _Base(arm, name, formula, int(at.size), int(unit.max(initial=-1)) + 1)
    if not 0 < int(treated.sum()) < at.size:
        return base.without("only one of the two arms has replies here")
    plan = _design(used, level, at.size)
    cells = plan.off.shape[0]
    counts = [np.bincount(plan.cell[side], minlength=cells).astype(np.float64) for side in (~treated, treated)]
    bad = [np.bincount(plan.cell[side], weights=error[side], minlength=cells) for side in (~treated, treated)]
    try:
        found = fit(np.vstack([plan.off, plan.on]), np.concatenate(counts), np.concatenate(bad))
    except NoFitError as failure:
        return base.without(str(failure))
    p_off, p_on = found.predicted[:cells], found.predicted[cells:]
    left = error - np.where(treated, p_on[plan.cell], p_off[plan.cell])
    scores = _scores(unit, left, ((np.where(treated, on[plan.cell], off[plan.cell])) for off, on in _columns(plan)))
    robust = clustered(found, scores)
    weights = counts[0] + counts[1]
    effects: list[tuple[str, Effect]] = []
    if level is None:
        effects.append((ALL, effect(found, plan.on, plan.off, weights)))
    else:
        for code in np.unique(plan.level).tolist():
            part = weights * (plan.level == code)
            effects.append((level.levels[code], effect(found, plan.on, plan.off, part)))
        if level.name == "belief":
            without, given = (one for _, one in effects)
            effects.append((INCREMENT, Effect(given.value - without.value, given.gradient - without.gradient)))
    return base.fitted(found, robust, plan.names, effects)


def _design(terms: Sequence[_Term], level: _Term | None, rows: int) -> _Design:
    """Intercept, the terms, the level, the treatment, treatment x level: dummies against the lowest level present."""
    parts = [*terms] if level is None else [*terms, level]
    key = np.zeros(rows, dtype=np.int64)
    for term in parts:
        key = key * len(term.levels) + term.codes
    present, first, cell = np.unique(key, return_index=True, return_inverse=True)
    one, zero = np.ones(present.size), np.zeros(present.size)
    off, on, names = [one], [one], ["intercept"]
    for term in parts:
        codes = term.codes[first]
        for value in np.unique(codes)[1:].tolist():
            column = (codes == value).astype(np.float64)
            off.append(column)
            on.append(column)
            names.append(f"{term.name}={term.levels[value]}")
    off.append(zero)
    on.append(one)
    names.append("treated")
    levels = np.zeros(present.size, np.int64) if level is None else level.codes[first]
    if level is not None:
        for value in np.unique(levels)[1:].tolist():
            off.append(zero)
            on.append((levels == value).astype(np.float64))
            names.append(f"treated x {level.levels[value]}")
    return _Design(np.column_stack(off), np.column_stack(on), cell, levels, tuple(names))


def _with_length(rows: Selected, arm: str, mask: Mask) -> StudyModel:
    """Model 1 with reply length; every reply is a row of its own."""
    at = np.flatnonzero(mask)
    used = [
        _Term(term.name, term.codes[at], term.levels) for term in _terms(rows) if np.unique(term.codes[at]).size > 1
    ]
    treated, error, unit = rows.treated[at], rows.error[at], _compact(rows.unit[at])
    formula = " + ".join(["treated", *(term.name for term in used), "length"])
    base = _Base(arm, "model_1_length", formula, int(at.size), int(unit.max(initial=-1)) + 1)
    if not 0 < int(treated.sum()) < at.size:
        return base.without("only one of the two arms has replies here")
    plan = _design(used, None, at.size)
    cell = plan.cell
    length = rows.replies.length[at].astype(np.float64)
    # Thousands of characters: of the order of one, so that Newton's steps are well conditioned.
    covariate = (length / 1000.0)[:, np.newaxis]
    off, on = np.hstack([plan.off[cell], covariate]), np.hstack([plan.on[cell], covariate])
    design = np.where(treated[:, np.newaxis], on, off)
    try:
        found = fit(design, np.ones(at.size), error)
    except NoFitError as failure:
        return base.without(str(failure))
    robust = clustered(found, _scores(unit, error - found.predicted, iter(design.T)))
    mean = effect(found, on, off, np.ones(at.size))
    return base.fitted(found, robust, (*plan.names, "length, thousand characters"), [(ALL, mean)])


def _columns(plan: _Design) -> Iterator[tuple[Floats, Floats]]:
    return zip(plan.off.T, plan.on.T, strict=True)


def _scores(unit: Ints, left: Floats, columns: Iterator[Floats]) -> Floats:
    """Sum over each cluster's replies of x (y - p), shape (clusters, p)."""
    return np.column_stack([np.bincount(unit, weights=column * left) for column in columns])


def _compact(unit: Ints) -> Ints:
    _, codes = np.unique(unit, return_inverse=True)
    return np.asarray(codes, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Base:
    """What is known of a model before it is fitted."""

    arm: str
    name: str
    formula: str
    n_replies: int
    n_items: int

    def without(self, why: str) -> StudyModel:
        return self._model((), (), why)

    def fitted(
        self, found: Fit, robust: Floats, names: Sequence[str], effects: Sequence[tuple[str, Effect]]
    ) -> StudyModel:
        """A model with its values; without standard errors where they do not exist."""
        note = _SEPARATED if found.separated else ""
        if not note and np.linalg.cond(found.covariance) > _MOST_CONDITION:
            note = _CONFOUNDED
        classical = np.sqrt(np.maximum(0.0, np.diag(found.covariance)))
        sandwich = np.sqrt(np.maximum(0.0, np.diag(robust)))
        warm = self.arm == figures.WARM and self.name == "model_1"
        coefficients = tuple(
            Value(
                level=name,
                value=float(found.coefficients[index]),
                se_classical=None if note else float(classical[index]),
                se_clustered=None if note else float(sandwich[index]),
                published=figures.COEFFICIENT[0] if warm and name == "treated" else None,
            )
            for index, name in enumerate(names)
        )
        values = tuple(
            Value(
                level=level,
                value=one.value,
                se_classical=None if note else one.standard_error(found.covariance),
                se_clustered=None if note else one.standard_error(robust),
                published=figures.effect(self.arm, self.name, level),
            )
            for level, one in effects
        )
        return self._model(coefficients, values, note)

    def _model(self, coefficients: tuple[Value, ...], effects: tuple[Value, ...], note: str) -> StudyModel:
        return StudyModel(
            name=self.name,
            formula=self.formula,
            coefficients=coefficients,
            effects=effects,
            n_replies=self.n_replies,
            n_items=self.n_items,
            published_replies=figures.REPLIES.get(self.name) if self.arm == figures.WARM else None,
            note=note,
        )
