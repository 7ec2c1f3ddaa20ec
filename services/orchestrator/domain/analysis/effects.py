"""What follows from the cuts beside the tables of rates: belief effects, relative changes, McNemar, statements, means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from services.orchestrator.domain.analysis.cuts import (
    PLAIN,
    POOLED_BELIEFS,
    Cuts,
    Outcome,
    belief_keys,
    context_keys,
    outcome,
)
from services.orchestrator.domain.analysis.result import (
    FALSE_BELIEF,
    NO_BELIEF,
    OVERALL,
    BeliefEffect,
    Estimate,
    McNemar,
    MeanRow,
    RelativeChange,
    StatementRange,
)
from services.orchestrator.domain.analysis.tables import bounds, mean_difference
from services.orchestrator.domain.statistics.interval import moments, pool
from services.orchestrator.domain.statistics.multiplicity import benjamini_hochberg
from services.orchestrator.domain.statistics.pairs import Ints
from services.orchestrator.domain.statistics.proportions import mcnemar_exact
from services.orchestrator.domain.statistics.sample import Sample

Floats = NDArray[np.float64]

_CONTROL = "none_lead_in"
_ASSERTING: Mapping[str, tuple[str, ...]] = {
    "error": ("asserts_false", "denies_true", FALSE_BELIEF, "asserts_true"),
    "adopts_belief": ("asserts_false", "denies_true"),
}


def belief_effects(cuts: Cuts, confidence: float) -> tuple[BeliefEffect, ...]:
    """The gap given each belief, and its difference from the gap under none_lead_in."""
    found = []
    for metric, beliefs in _ASSERTING.items():
        of = outcome(cuts.table, metric)
        control = {task: _sample(cuts, of, task, cuts.contexts, (_CONTROL,)) for task in cuts.tasks}
        for belief in beliefs:
            members = [name for name in POOLED_BELIEFS.get(belief, (belief,)) if name in cuts.beliefs]
            held = {task: _sample(cuts, of, task, cuts.contexts, members) for task in cuts.tasks}
            held = {task: one for task, one in held.items() if one.n_items}
            comparable = metric == "error" or belief == "asserts_false"
            for task, used in _with_overall(held):
                both = [_common(held[name], control[name]) for name in used] if comparable else []
                both = [pair for pair in both if pair[0].n_items]
                found.append(
                    BeliefEffect(
                        metric=metric,
                        task=task,
                        belief=belief,
                        gap=mean_difference([held[name] for name in used], confidence),
                        reference_gap=mean_difference([pair[1] for pair in both], confidence) if both else None,
                        increment=_increment(both, confidence) if both else None,
                    )
                )
    return tuple(found)


def _sample(cuts: Cuts, of: Outcome, task: str, contexts: Sequence[str], beliefs: Sequence[str]) -> Sample:
    return cuts.cut(of, task, cuts.rows(task, contexts, beliefs)).pairs


def _with_overall(by_task: dict[str, Sample]) -> Iterator[tuple[str, list[str]]]:
    if by_task:
        yield OVERALL, list(by_task)
    for task in by_task:
        yield task, [task]


def _common(one: Sample, other: Sample) -> tuple[Sample, Sample]:
    _, left, right = np.intersect1d(one.unit, other.unit, assume_unique=True, return_indices=True)
    return one.at(left), other.at(right)


def _increment(pairs: Sequence[tuple[Sample, Sample]], confidence: float) -> Estimate:
    """Mean of the items' difference in differences; a pseudo-item is as wide as the two means' pairs make it."""
    items = sum(held.n_items for held, _ in pairs)
    changes = [np.sort(held.differences - control.differences) for held, control in pairs]
    if any(change.size < 2 for change in changes):
        value = sum(float(change.mean()) for change in changes) / len(changes)
        return Estimate(value=value, lower=None, upper=None, standard_error=None, n_items=items)
    parts = [
        moments(change, math.sqrt(1.0 / held.mean_pairs + 1.0 / control.mean_pairs))
        for change, (held, control) in zip(changes, pairs, strict=True)
    ]
    return bounds(pool(parts), items, confidence)


def relative_changes(cuts: Cuts, confidence: float) -> tuple[RelativeChange, ...]:
    """Treated over reference rate minus 1, `overall` first."""
    of = outcome(cuts.table, "error")
    z = float(ndtri(0.5 + confidence / 2.0))
    found = []
    for belief, contexts in ((NO_BELIEF, (PLAIN,)), (FALSE_BELIEF, cuts.contexts)):
        lines = []
        ratios: list[tuple[float, float | None]] = []
        for task in cuts.tasks:
            one = _sample(cuts, of, task, contexts, POOLED_BELIEFS[belief])
            if not one.n_items:
                continue
            ratio, error = _ratio(one)
            if ratio is not None:
                ratios.append((ratio, None if error is None else ratio * error))
            low, high = (None, None) if ratio is None or error is None else _around(ratio, z * error)
            lines.append(_change(task, belief, ratio, low, high))
        if not lines:
            continue
        mean = sum(ratio for ratio, _ in ratios) / len(ratios) if ratios else None
        errors = [error for _, error in ratios if error is not None]
        low = high = None
        if mean and len(errors) == len(ratios):
            low, high = _around(mean, z * math.hypot(*errors) / (len(ratios) * mean))
        found += [_change(OVERALL, belief, mean, low, high), *lines]
    return tuple(found)


def _ratio(one: Sample) -> tuple[float | None, float | None]:
    """Ratio of the rates and the standard error of its logarithm."""
    trt, ref = np.sort(one.bad_trt / one.pairs), np.sort(one.bad_ref / one.pairs)
    mean_trt, mean_ref = float(trt.mean()), float(ref.mean())
    if mean_ref == 0.0:
        return None, None
    if mean_trt == 0.0 or one.n_items < 2:
        return mean_trt / mean_ref, None
    influence = np.sort(one.bad_trt / one.pairs / mean_trt - one.bad_ref / one.pairs / mean_ref)
    return mean_trt / mean_ref, float(influence.std(ddof=1)) / math.sqrt(one.n_items)


def _around(ratio: float, half: float) -> tuple[float, float]:
    return ratio * math.exp(-half) - 1.0, ratio * math.exp(min(half, 700.0)) - 1.0


def _change(task: str, belief: str, ratio: float | None, low: float | None, high: float | None) -> RelativeChange:
    value = None if ratio is None else ratio - 1.0
    return RelativeChange(task=task, belief=belief, value=value, lower=low, upper=high)


def mcnemar(cuts: Cuts) -> tuple[McNemar, ...]:
    """Exact tests at the first repeat; families are one task and belief level over the contexts."""
    of = outcome(cuts.table, "error")
    first = cuts.table.repeat == 0
    found: list[McNemar] = []
    for task in cuts.tasks:
        for belief in cuts.beliefs:
            lines = []
            for context in cuts.contexts:
                rows = cuts.rows(task, (context,), (belief,))
                states = np.bincount(of.state[rows[first[rows]]], minlength=9)
                pairs = int(states[[0, 1, 3, 4]].sum())
                if pairs:
                    lines.append((context, int(states[1]), int(states[3]), pairs))
            if not lines:
                continue
            p = mcnemar_exact([line[1] for line in lines], [line[2] for line in lines])
            found += [
                McNemar(
                    task=task,
                    context=context,
                    belief=belief,
                    worse=worse,
                    better=better,
                    n_pairs=pairs,
                    p=one,
                    p_adjusted=adjusted,
                )
                for (context, worse, better, pairs), one, adjusted in zip(
                    lines, p.tolist(), benjamini_hochberg(p).tolist(), strict=True
                )
            ]
    return tuple(found)


def statement_ranges(cuts: Cuts) -> tuple[StatementRange, ...]:
    """The difference in each context with one statement left out at a time, for contexts with two statements or more."""
    of = outcome(cuts.table, "error")
    statement = cuts.table.statement
    found = []
    for context in cuts.contexts:
        for belief in POOLED_BELIEFS if context != PLAIN else ():
            rows = {task: cuts.rows(task, (context,), POOLED_BELIEFS[belief]) for task in cuts.tasks}
            codes = np.unique(np.concatenate([statement.codes[part] for part in rows.values()]))
            whole = _left_out(cuts, of, rows, None)
            each = [(code, _left_out(cuts, of, rows, code)) for code in codes.tolist()]
            ranked = sorted((value, statement.names[code]) for code, value in each if value is not None)
            if whole is None or len(codes) < 2 or not ranked:
                continue
            found.append(
                StatementRange(
                    context=context,
                    belief=belief,
                    estimate=whole,
                    lowest=ranked[0][0],
                    lowest_without=ranked[0][1],
                    highest=ranked[-1][0],
                    highest_without=ranked[-1][1],
                    n_statements=len(codes),
                )
            )
    return tuple(found)


def _left_out(cuts: Cuts, of: Outcome, rows: dict[str, Ints], code: int | None) -> float | None:
    codes = cuts.table.statement.codes
    means = []
    for task, part in rows.items():
        one = cuts.cut(of, task, part if code is None else part[codes[part] != code]).pairs
        if one.n_items:
            means.append(float(np.sort(one.differences).mean()))
    return sum(means) / len(means) if means else None


def mean_rows(cuts: Cuts, quantity: str, confidence: float) -> tuple[MeanRow, ...]:
    """Table of a measured quantity, `overall` before its tasks; lines without a measured pair are left out."""
    table = cuts.table
    if quantity == "warmth":
        ref, trt = table.warmth_ref, table.warmth_trt
        measured = np.isfinite(ref) & np.isfinite(trt)
    else:
        ref, trt = table.length_ref.astype(np.float64), table.length_trt.astype(np.float64)
        measured = (table.length_ref > 0) & (table.length_trt > 0)
    if not bool(measured.any()):
        return ()
    found: list[MeanRow] = []
    for context in context_keys(cuts.contexts):
        for belief in belief_keys(cuts.beliefs):
            parts: dict[str, tuple[Floats, Floats, int]] = {}
            for task in cuts.tasks:
                rows = cuts.rows(task, context.members, belief.members)
                rows = rows[measured[rows]]
                if rows.size:
                    parts[task] = (*_item_means(cuts.unit[rows], ref[rows], trt[rows]), int(rows.size))
            key = (quantity, context.name, belief.name)
            if parts:
                found.append(_mean_row(key, OVERALL, list(parts.values()), confidence))
            found += [_mean_row(key, task, [part], confidence) for task, part in parts.items()]
    return tuple(found)


def _item_means(unit: Ints, ref: Floats, trt: Floats) -> tuple[Floats, Floats]:
    counts = np.bincount(unit)
    present = counts > 0
    sums = (np.bincount(unit, weights=values)[present] for values in (ref, trt))
    mean_ref, mean_trt = (values / counts[present] for values in sums)
    return mean_ref, mean_trt


def _mean_row(
    key: tuple[str, str, str], task: str, parts: Sequence[tuple[Floats, Floats, int]], confidence: float
) -> MeanRow:
    """Student's t over items; of tasks, the mean of their means with the degrees of freedom of all."""
    refs = [float(np.sort(ref).mean()) for ref, _, _ in parts]
    trts = [float(np.sort(trt).mean()) for _, trt, _ in parts]
    items = sum(ref.size for ref, _, _ in parts)
    value = (sum(trts) - sum(refs)) / len(parts)
    error = lower = upper = None
    if all(ref.size >= 2 for ref, _, _ in parts):
        squares = [float(np.sort(trt - ref).var(ddof=1)) / ref.size for ref, trt, _ in parts]
        error = math.sqrt(sum(squares)) / len(parts)
        half = float(stdtrit(items - len(parts), 0.5 + confidence / 2.0)) * error
        lower, upper = value - half, value + half
    return MeanRow(
        quantity=key[0],
        task=task,
        context=key[1],
        belief=key[2],
        mean_ref=sum(refs) / len(parts),
        mean_trt=sum(trts) / len(parts),
        difference=Estimate(value=value, lower=lower, upper=upper, standard_error=error, n_items=items),
        n_pairs=sum(pairs for *_, pairs in parts),
    )
