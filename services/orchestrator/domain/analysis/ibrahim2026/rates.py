"""Error rates in the study's conditions: cells with McNemar tests, relative changes, gaps by model."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.analysis.cuts import PLAIN
from services.orchestrator.domain.analysis.ibrahim2026 import figures
from services.orchestrator.domain.analysis.ibrahim2026.result import Cell, ModelGap, Relative, Value
from services.orchestrator.domain.analysis.ibrahim2026.selection import Selected
from services.orchestrator.domain.analysis.result import FALSE_BELIEF, NO_BELIEF, OVERALL
from services.orchestrator.domain.statistics.multiplicity import benjamini_hochberg
from services.orchestrator.domain.statistics.pairs import Ints, Mask
from services.orchestrator.domain.statistics.proportions import mcnemar_exact

Floats = NDArray[np.float64]
BELIEFS = (NO_BELIEF, FALSE_BELIEF)


def cells(rows: Selected) -> tuple[Cell, ...]:
    """Every condition that has a reply, by model, task and belief, contexts in the method's order."""
    shape = (len(rows.models), len(rows.tasks), len(BELIEFS), len(rows.contexts))
    code = np.ravel_multi_index((rows.model, rows.task, rows.believes, rows.context), shape)
    size = math.prod(shape)
    counts = [np.bincount(code[side], minlength=size) for side in (~rows.treated, rows.treated)]
    wrong = [
        np.bincount(code[side], weights=rows.error[side], minlength=size) for side in (~rows.treated, rows.treated)
    ]
    at, y_ref, y_trt = _pairs(rows)
    worse = np.bincount(code[at][(y_ref == 0) & (y_trt == 1)], minlength=size)
    better = np.bincount(code[at][(y_ref == 1) & (y_trt == 0)], minlength=size)
    p = mcnemar_exact(worse, better)
    found: list[Cell] = []
    for model, task, belief in np.ndindex(shape[:3]):
        family = [
            int(np.ravel_multi_index((model, task, belief, context), shape)) for context in range(len(rows.contexts))
        ]
        family = [cell for cell in family if counts[0][cell] + counts[1][cell]]
        adjusted = benjamini_hochberg(p[family])
        for cell, corrected in zip(family, adjusted.tolist(), strict=True):
            found.append(
                Cell(
                    model=rows.models[model],
                    task=rows.tasks[task],
                    context=rows.contexts[cell % shape[3]],
                    belief=BELIEFS[belief],
                    replies_ref=int(counts[0][cell]),
                    replies_trt=int(counts[1][cell]),
                    rate_ref=_rate(wrong[0][cell], counts[0][cell]),
                    rate_trt=_rate(wrong[1][cell], counts[1][cell]),
                    worse=int(worse[cell]),
                    better=int(better[cell]),
                    p=float(p[cell]),
                    p_adjusted=corrected,
                )
            )
    return tuple(found)


def _pairs(rows: Selected) -> tuple[Ints, Floats, Floats]:
    """Rows of the reference that have a partner, and the outcomes of both."""
    key = rows.replies.key()
    ref, trt = np.flatnonzero(~rows.treated), np.flatnonzero(rows.treated)
    _, left, right = np.intersect1d(key[ref], key[trt], assume_unique=True, return_indices=True)
    return ref[left], rows.error[ref[left]], rows.error[trt[right]]


def _rate(wrong: float, count: int) -> float | None:
    return float(wrong) / int(count) if count else None


def relative(found: tuple[Cell, ...], arm: str) -> tuple[Relative, ...]:
    """Relative changes on plain questions, the mean of the tasks first; models weigh equally within a task."""
    sums: dict[str, list[tuple[float, float]]] = {}
    for cell in found:
        if (
            (cell.context, cell.belief) == (PLAIN, NO_BELIEF)
            and cell.rate_ref is not None
            and cell.rate_trt is not None
        ):
            sums.setdefault(cell.task, []).append((cell.rate_ref, cell.rate_trt))
    published = figures.RELATIVE if arm == figures.WARM else {}
    lines = []
    for task, rates in sums.items():
        before, after = (sum(column) for column in zip(*rates, strict=True))
        lines.append(Relative(task=task, value=after / before - 1.0 if before else None, published=published.get(task)))
    known = [line.value for line in lines if line.value is not None]
    if not lines:
        return ()
    mean = sum(known) / len(known) if known else None
    return (Relative(task=OVERALL, value=mean, published=published.get(OVERALL)), *lines)


def gaps(rows: Selected, arm: str) -> tuple[ModelGap, ...]:
    """Difference of the arms by model: plain questions, then false beliefs in all contexts; tasks weigh equally."""
    return tuple(_gaps(rows, arm))


def _gaps(rows: Selected, arm: str) -> Iterator[ModelGap]:
    plain = rows.replies.context.among((PLAIN,)) & (rows.believes == 0)
    for belief, mask in ((NO_BELIEF, plain), (FALSE_BELIEF, rows.believes == 1)):
        for code, model in enumerate(rows.models):
            parts = [
                part
                for task in range(len(rows.tasks))
                if (part := _task_gap(rows, mask & (rows.model == code) & (rows.task == task))) is not None
            ]
            if not parts:
                continue
            before, after, classical, robust = (sum(column) / len(parts) for column in zip(*parts, strict=True))
            known = figures.PLAIN_GAPS if (arm, belief) == (figures.WARM, NO_BELIEF) else {}
            yield ModelGap(
                model=model,
                belief=belief,
                rate_ref=before,
                rate_trt=after,
                gap=Value(
                    level=belief,
                    value=after - before,
                    se_classical=math.sqrt(classical / len(parts)),
                    se_clustered=math.sqrt(robust / len(parts)),
                    published=known.get(figures.published_model(model)),
                ),
            )


def _task_gap(rows: Selected, mask: Mask) -> tuple[float, float, float, float] | None:
    """Both rates, and the two variances of their difference: replies as if independent, and clustered by item."""
    ref, trt = mask & ~rows.treated, mask & rows.treated
    if not ref.any() or not trt.any():
        return None
    before, after = float(rows.error[ref].mean()), float(rows.error[trt].mean())
    classical = before * (1.0 - before) / int(ref.sum()) + after * (1.0 - after) / int(trt.sum())
    at = np.flatnonzero(mask)
    share = np.where(
        rows.treated[at], (rows.error[at] - after) / int(trt.sum()), (before - rows.error[at]) / int(ref.sum())
    )
    _, unit = np.unique(rows.unit[at], return_inverse=True)
    influence = np.bincount(unit, weights=share)
    robust = float(influence @ influence) * influence.size / max(1, influence.size - 1)
    return before, after, classical, robust
