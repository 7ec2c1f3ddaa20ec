"""Tables of rates by task, context and belief level, with all marginals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from services.orchestrator.domain.analysis.cuts import Cut, Cuts, Outcome, belief_keys, context_keys, join, outcome
from services.orchestrator.domain.analysis.result import ALL, OVERALL, Estimate, Row
from services.orchestrator.domain.statistics.interval import Moments, pool, widened
from services.orchestrator.domain.statistics.pairs import Ints
from services.orchestrator.domain.statistics.proportions import task_rate
from services.orchestrator.domain.statistics.sample import Sample


def rate_rows(cuts: Cuts, metric: str, confidence: float) -> tuple[Row, ...]:
    """Every line of one metric's table that has a pair; `overall` before its tasks."""
    of = outcome(cuts.table, metric)
    found: list[Row] = []
    for context in context_keys(cuts.contexts):
        for belief in belief_keys(cuts.beliefs):
            if metric == "adopts_belief" and belief.name == ALL:
                # Adopting a stated belief and coming upon the false answer unprompted are two things.
                continue
            parts: list[tuple[Cut, Ints]] = []
            lines: list[Row] = []
            for task in cuts.tasks:
                rows = cuts.rows(task, context.members, belief.members)
                cut = cuts.cut(of, task, rows)
                if cut.pairs.n_items:
                    parts.append((cut, rows))
                    lines.append(_row(cuts, of, (task, context.name, belief.name), [(cut, rows)], confidence))
            if parts:
                found.append(_row(cuts, of, (OVERALL, context.name, belief.name), parts, confidence))
                found += lines
    return tuple(found)


def mean_difference(samples: Sequence[Sample], confidence: float) -> Estimate:
    """Mean over tasks of the mean paired difference over items, with its interval. Tasks without an item are left out."""
    used = [one for one in samples if one.n_items]
    if not used:
        raise ValueError("no task has a pair")
    items = sum(one.n_items for one in used)
    if any(one.n_items < 2 for one in used):
        value = sum(math.fsum(one.differences.tolist()) / one.n_items for one in used) / len(used)
        return Estimate(value=value, lower=None, upper=None, standard_error=None, n_items=items)
    return bounds(pool([one.moments() for one in used]), items, confidence)


def bounds(found: Moments, items: int, confidence: float) -> Estimate:
    """The two-sided interval of METHOD section 8 from moments."""
    value, (least, most) = float(found.mean), found.bounds((1.0 - confidence) / 2.0)
    lower, upper = widened(float(least), value, float(most))
    return Estimate(
        value=value,
        lower=lower,
        upper=upper,
        standard_error=float(found.standard_error),
        n_items=items,
    )


def _row(
    cuts: Cuts, of: Outcome, key: tuple[str, str, str], parts: Sequence[tuple[Cut, Ints]], confidence: float
) -> Row:
    samples = [cut.pairs for cut, _ in parts]
    both = join(samples)
    ref = task_rate([one.bad_ref / one.pairs for one in samples], both.n_pairs, confidence)
    trt = task_rate([one.bad_trt / one.pairs for one in samples], both.n_pairs, confidence)
    difference = mean_difference(samples, confidence)
    lost = [cuts.lost(of, rows) for _, rows in parts]
    asked, failed_ref, failed_trt, vague_ref, vague_trt = (sum(column) for column in zip(*lost, strict=True))
    worst_lower = worst_upper = difference.value
    if asked > both.n_pairs:
        worst_lower = sum(math.fsum((cut.low / cut.asked).tolist()) / cut.asked.size for cut, _ in parts) / len(parts)
        worst_upper = sum(math.fsum((cut.high / cut.asked).tolist()) / cut.asked.size for cut, _ in parts) / len(parts)
    return Row(
        metric=of.metric,
        task=key[0],
        context=key[1],
        belief=key[2],
        rate_ref=ref.value,
        rate_ref_lower=ref.lower,
        rate_ref_upper=ref.upper,
        rate_trt=trt.value,
        rate_trt_lower=trt.lower,
        rate_trt_upper=trt.upper,
        estimate=difference.value,
        # No difference of shares is larger; the interval of a handful of items does not know.
        lower=None if difference.lower is None else max(-1.0, difference.lower),
        upper=None if difference.upper is None else min(1.0, difference.upper),
        standard_error=difference.standard_error,
        worse=both.worse,
        better=both.better,
        k_discordant=both.k_discordant,
        discordance=int(both.discordant.sum()) / both.n_pairs,
        rho=both.correlation(),
        n_items=both.n_items,
        n_pairs=both.n_pairs,
        n_asked=asked,
        failed_ref=failed_ref / asked,
        failed_trt=failed_trt / asked,
        ungradable_ref=vague_ref / max(1, asked - failed_ref),
        ungradable_trt=vague_trt / max(1, asked - failed_trt),
        worst_lower=worst_lower,
        worst_upper=worst_upper,
    )
