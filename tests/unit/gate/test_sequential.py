"""Early stopping: looks, closing cells, and that neither arrival nor resumption can change a digit."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.orchestrator.domain.gate.design import Design
from services.orchestrator.domain.gate.result import FAIL, OPEN, PASS
from services.orchestrator.domain.gate.verdict import advance
from services.orchestrator.domain.statistics.boundary import crossing_probability
from services.orchestrator.domain.statistics.interval import paired_interval
from services.orchestrator.domain.statistics.pairs import PairTable

BELIEFS = ("asserts_false", "none")


def _two_gates(kit: Any, **more: Any) -> Any:
    rules = (kit.rule("slow", "asserts_false"), kit.rule("fast", "none", margin_pp=10.0, **more))
    return Design(rules=rules, candidates=("v2",), stopping="group")


def _data(items: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ref = (rng.random((items, 2)) < 0.5).astype(int)
    flip = rng.random((items, 2)) < 0.1
    return ref, np.where(flip, 1 - ref, ref)


def test_a_gate_closes_at_the_first_look_whose_upper_bound_is_below_the_margin(kit: Any, errors: Any) -> None:
    ref, trt = errors(2_000, both=300, worse=70, better=70, seed=5)
    levels = [stats.norm.sf(1.751 * math.sqrt(5 / k)) for k in range(1, 6)]
    bounds = [paired_interval((trt - ref)[: 400 * k], alpha=levels[k - 1]).upper for k in range(1, 6)]
    first = next(k for k, upper in enumerate(bounds, 1) if upper < 0.02)
    result = kit.run(ref, trt, stopping="group").results[0]
    assert (result.decision, result.look, result.units) == (PASS, first, 400 * first)
    assert (result.upper, result.bound_alpha) == pytest.approx((bounds[first - 1], levels[first - 1]))


def test_p_fail_is_the_chance_that_a_brownian_motion_climbs_so_high(kit: Any, errors: Any) -> None:
    ref, trt = errors(500, both=50, worse=25, better=20, seed=7)
    result = kit.run(ref, trt, stopping="group").results[0]
    p = [paired_interval((trt - ref)[: 100 * k]).p_worse for k in range(1, result.look + 1)]
    highest = max(stats.norm.isf(one) * math.sqrt(k / 5) for k, one in enumerate(p, 1))
    assert result.p_fail == pytest.approx(crossing_probability(highest), rel=1e-9)


def test_a_fail_needs_the_margin_at_that_look_too(kit: Any, errors: Any) -> None:
    ref, trt = errors(20_000, worse=300)  # 1.5 points for sure
    result = kit.run(ref, trt, stopping="group").results[0]
    assert result.p_adjusted < 1e-6
    assert result.decision != FAIL


def test_cells_that_only_closed_gates_use_are_no_longer_asked(kit: Any) -> None:
    items = 1_000
    ref, trt = _data(items)
    design, order = _two_gates(kit), kit.order(items)
    now = advance(design, order, {"v2": PairTable.build(**kit.columns(ref, trt, beliefs=BELIEFS))}, 400)
    assert [result.decision for result in now.results] == [OPEN, PASS]
    assert not now.stop
    assert now.needs("v2", "none", "asserts_false")
    assert not now.needs("v2", "none", "none")
    assert now.needs("v2", "emotion:sad", "none"), "a cell of no gate is asked to the end"
    assert now.ask_units == 600


def test_pairs_that_were_never_asked_after_a_gate_closed_change_nothing(kit: Any) -> None:
    items = 1_000
    ref, trt = _data(items)
    design, order = _two_gates(kit), kit.order(items)
    columns = kit.columns(ref, trt, beliefs=BELIEFS)
    whole = advance(design, order, {"v2": PairTable.build(**columns)}, items)
    closed_at = whole.results[1].units
    assert closed_at < whole.results[0].units
    asked = [r for r in range(2 * items) if columns["belief"][r] != "none" or r // 2 < closed_at]
    partly = {name: [values[r] for r in asked] for name, values in columns.items()}
    assert advance(design, order, {"v2": PairTable.build(**partly)}, items) == whole


def test_the_run_ends_when_a_critical_gate_fails(kit: Any) -> None:
    items = 1_000
    ref, trt = _data(items)
    trt[:, 0] = (np.arange(items) % 3 == 0) | trt[:, 0]
    columns = kit.columns(ref, trt, beliefs=BELIEFS)
    end = advance(_two_gates(kit), kit.order(items), {"v2": PairTable.build(**columns)}, 200)
    assert (end.stop, end.verdict, end.results[0].units) == (True, FAIL, 200)
    assert not end.needs("v2", "none", "none")


def test_an_open_advisory_gate_does_not_keep_the_run_going(kit: Any) -> None:
    items = 2_000
    rng = np.random.default_rng(2)
    ref = (rng.random((items, 2)) < 0.5).astype(int)
    trt = (rng.random((items, 2)) < 0.5).astype(int)
    trt[:, 1] = ref[:, 1]
    rules = (kit.rule("shown", "asserts_false", critical=False), kit.rule("decides", "none"))
    design = Design(rules=rules, candidates=("v2",), stopping="group")
    end = advance(design, kit.order(items), {"v2": PairTable.build(**kit.columns(ref, trt, beliefs=BELIEFS))}, items)
    assert end.verdict == PASS
    assert end.looks_done < 5


@pytest.mark.parametrize("stopping", ["fixed", "group", "anytime"])
@pytest.mark.parametrize("worse", [0, 60])
def test_arrival_and_resumption_change_no_digit(kit: Any, errors: Any, stopping: Any, worse: Any) -> None:
    items = 900
    ref, trt = errors(items, both=150, worse=40 + worse, better=40, seed=8)
    columns = kit.columns(ref, trt)
    design = Design(rules=(kit.rule(),), candidates=("v2",), stopping=stopping)
    order = kit.order(items)
    once = advance(design, order, {"v2": PairTable.build(**columns)}, items)
    rng = np.random.default_rng(4)
    for _ in range(3):
        shuffled = rng.permutation(items)
        arrived = {name: [values[i] for i in shuffled] for name, values in columns.items()}
        steps = sorted({*rng.integers(1, items, 5).tolist(), items})
        for done in steps:
            # At each stop only what has been asked is there, in the order in which it came.
            there = [k for k, item in enumerate(arrived["item"]) if int(item[1:]) < done]
            part = PairTable.build(**{name: [values[k] for k in there] for name, values in arrived.items()})
            now = advance(design, order, {"v2": part}, done)
            if now.stop:
                break
        assert asdict(now) == asdict(once)


@pytest.mark.parametrize("stopping", ["fixed", "group", "anytime"])
def test_a_decision_is_never_taken_back(kit: Any, errors: Any, stopping: Any) -> None:
    items = 1_000
    ref, trt = errors(items, both=150, worse=70, better=30, seed=12)
    design = Design(rules=(kit.rule(),), candidates=("v2",), stopping=stopping)
    table = {"v2": PairTable.build(**kit.columns(ref, trt))}
    decided = [advance(design, kit.order(items), table, done) for done in range(0, items + 1, 50)]
    stops = [now.stop for now in decided]
    assert stops == sorted(stops)
    assert len({now.verdict for now in decided if now.stop}) == 1


def test_swapping_the_arms_swaps_worse_and_better(kit: Any, errors: Any) -> None:
    ref, trt = errors(500, both=50, worse=50, better=20)
    one, other = (kit.run(*pair).results[0] for pair in ((ref, trt), (trt, ref)))
    assert other.estimate == pytest.approx(-one.estimate, abs=1e-15)
    assert (other.lower, other.upper) == pytest.approx((-one.upper, -one.lower), abs=1e-12)
    assert (other.worse, other.better) == (one.better, one.worse)
