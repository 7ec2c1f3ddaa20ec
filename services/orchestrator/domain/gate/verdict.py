"""The gate as a pure function: the same design and data give the same verdict to the last digit, however they arrived.

The runner asks the items of `Progress.ask_units` in the seeded order, calls `advance` after each look (or each finished
item), and stops when `Progress.stop` says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.orchestrator.domain.gate.advice import Advice, advise
from services.orchestrator.domain.gate.design import Design, ItemOrder
from services.orchestrator.domain.gate.eprocess import confidence_sequence
from services.orchestrator.domain.gate.evidence import gather, units_of
from services.orchestrator.domain.gate.result import FAIL, INCONCLUSIVE, INVALID, OPEN, PASS, GateResult, Progress
from services.orchestrator.domain.gate.sequential import Closing, Course, Lane, follow, lane_variance
from services.orchestrator.domain.gate.wording import because, explain
from services.orchestrator.domain.statistics.interval import widened
from services.orchestrator.domain.statistics.pairs import PairTable
from services.orchestrator.domain.statistics.sample import Sample


def advance(
    design: Design,
    order: ItemOrder,
    contrasts: Mapping[str, PairTable],
    complete: int,
    invariants: Sequence[str] = (),
) -> Progress:
    """Where the run stands.

    Args:
        design: What was fixed before the first reply.
        order: The seeded order of units.
        contrasts: By candidate, every pair of replies there is; pairs beyond `complete` are not looked at.
        complete: Units at the head of the order whose needed cells have all been asked, answered or failed for good.
        invariants: Invariants that broke, a sentence each; any of them ends the run as INVALID.

    Raises:
        ValueError: A candidate has no table, or `complete` exceeds the order.
    """
    if not 0 <= complete <= order.size:
        raise ValueError(f"{complete} complete units of {order.size}")
    rank = order.rank()
    tables = {candidate: _table(contrasts, candidate) for candidate in design.candidates}
    units = {candidate: units_of(table, rank) for candidate, table in tables.items()}
    lanes = [
        Lane(
            rule=rule,
            candidate=candidate,
            evidence=gather(rule, tables[candidate], units[candidate], order.size),
            bias=design.bias(candidate),
            variance=design.variance(rule),
        )
        for candidate in design.candidates
        for rule in design.rules
    ]
    course = follow(design, order, lanes, complete)
    stop = course.stop or bool(invariants)
    results = tuple(_result(design, lane, closing, stop) for lane, closing in zip(lanes, course.closings, strict=True))
    verdict, reason = _verdict(design, results, invariants) if stop else (OPEN, "the run goes on")
    return Progress(
        results=results,
        stop=stop,
        verdict=verdict,
        reason=reason,
        looks_done=course.looks_done,
        looks_total=course.looks_total,
        ask_units=course.ask_units,
        closed_cells=_closed_cells(design, lanes, course),
    )


def _table(contrasts: Mapping[str, PairTable], candidate: str) -> PairTable:
    if candidate not in contrasts:
        raise ValueError(f"no pairs of candidate {candidate!r}")
    return contrasts[candidate]


def _closed_cells(design: Design, lanes: Sequence[Lane], course: Course) -> dict[str, frozenset[tuple[str, str]]]:
    closed: dict[str, set[tuple[str, str]]] = {candidate: set() for candidate in design.candidates}
    still_open: dict[str, set[tuple[str, str]]] = {candidate: set() for candidate in design.candidates}
    for lane, closing in zip(lanes, course.closings, strict=True):
        (closed if closing.decision else still_open)[lane.candidate].update(lane.rule.cells)
    return {candidate: frozenset(closed[candidate] - still_open[candidate]) for candidate in design.candidates}


def _verdict(design: Design, results: Sequence[GateResult], invariants: Sequence[str]) -> tuple[str, str]:
    if invariants:
        return INVALID, "; ".join(invariants)
    voting = [result for result in results if result.critical]
    for decision in (INVALID, FAIL):
        hit = [result for result in voting if result.decision == decision]
        if hit:
            return decision, because(hit, judge=design.judge)
    undecided = [result for result in voting if result.decision != PASS]
    if undecided:
        return INCONCLUSIVE, because(undecided, judge=design.judge)
    better = [result.gate for result in voting if result.improvement]
    gained = f"; improved: {', '.join(dict.fromkeys(better))}" if better else ""
    return PASS, f"every critical gate is below its margin{gained}"


def _result(design: Design, lane: Lane, closing: Closing, stop: bool) -> GateResult:
    rule = lane.rule
    found = lane.evidence.prefix(closing.units)
    quality = lane.evidence.quality(closing.units)
    allowance = lane.bias * quality.judge_share
    estimate, lower, upper = _bounds(design, lane, closing, found, allowance) if stop else _estimate(found)
    decision = closing.decision or OPEN
    advice = Advice(None, None)
    if not closing.decision and stop:
        decision = INVALID if quality.invalid else INCONCLUSIVE
        if decision == INCONCLUSIVE and not quality.ungraded(rule.margin):
            advice = advise(rule, found, design.alpha, allowance, design.repeats)
    rates = found.rates() if found.n_items else None
    result = GateResult(
        gate=rule.name,
        candidate=lane.candidate,
        metric=rule.metric,
        critical=rule.critical,
        margin_pp=rule.margin_pp,
        decision=decision,
        improvement=decision == PASS and upper is not None and upper < 0.0,
        reason="",
        estimate=estimate,
        lower=lower,
        upper=upper,
        bound_alpha=closing.alpha,
        p_fail=closing.p_fail,
        p_adjusted=closing.p_adjusted,
        rate_ref=rates[0].value if rates else None,
        rate_trt=rates[1].value if rates else None,
        n_items=found.n_items,
        n_pairs=found.n_pairs,
        k_discordant=found.k_discordant,
        worse=found.worse,
        better=found.better,
        discordance=found.discordance(),
        rho=found.correlation(),
        judge_share=quality.judge_share,
        judge_allowance=allowance,
        failed_ref=quality.failed_ref,
        failed_trt=quality.failed_trt,
        ungradable_ref=quality.ungradable_ref,
        ungradable_trt=quality.ungradable_trt,
        worst_lower=quality.worst_lower,
        worst_upper=quality.worst_upper,
        more_items=advice.items,
        more_repeats=advice.repeats,
        units=closing.units,
        look=closing.look,
    )
    return replace(result, reason=explain(result, judge=design.judge))


def _estimate(found: Sample) -> tuple[float | None, None, None]:
    """The running estimate; bounds are shown once nothing more is asked, under `anytime` they cost more than the rest."""
    return (float(found.moments().mean), None, None) if found.n_items >= 2 else (None, None, None)


def _bounds(
    design: Design, lane: Lane, closing: Closing, found: Sample, allowance: float
) -> tuple[float | None, float | None, float | None]:
    """Estimate and bounds of a lane's last look; the upper bound includes the judge allowance."""
    if found.n_items < 2:
        return None, None, None
    if design.stopping == "anytime":
        bets_on = lane_variance(lane, design, found)
        lower, upper = confidence_sequence(found.differences, lane.rule.margin, bets_on, design.alpha)
        return float(found.moments().mean), lower, upper + allowance
    interval = found.interval(closing.alpha)
    lower, upper = widened(interval.lower, interval.estimate, interval.upper)
    return interval.estimate, lower, upper + allowance
