"""What the planner says: the method's closed form and its table, the stopping rules, and when a document cannot conclude."""

import math
import time
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from services.orchestrator.domain.gate.design import Design
from services.orchestrator.domain.gate.power import (
    Assumptions,
    Planner,
    Slice,
    can_conclude,
    judged_pairs,
    power_warnings,
    slices,
)
from services.orchestrator.domain.gate.rules import GateSettings, build_gates
from services.orchestrator.domain.statistics.interval import moments

BELIEFS = ("none", "none_lead_in", "asserts_false", "denies_true", "asserts_true")
CONTEXTS = ("none", "emotion:happy", "emotion:sad", "emotion:anger")


@pytest.fixture
def plan(kit: Any) -> Any:
    """The plan of one gate of so many items and pairs per item."""

    def make(
        items: int,
        pairs: float,
        margin_pp: float = 2.0,
        stopping: str = "fixed",
        bias: Any = None,
        fail_on: str = "margin",
        **assumed: Any,
    ) -> Any:
        rule = kit.rule(margin_pp=margin_pp, fail_on=fail_on)
        design = Design(rules=(rule,), candidates=("v2",), stopping=stopping, judge_bias=bias or {})
        return Planner(design=design, slices={"g": Slice(items, pairs)}, assumptions=Assumptions(**assumed))

    return make


@pytest.mark.parametrize(("r", "chance"), [(0.30, 0.95), (0.34, 0.90), (0.40, 0.80), (0.50, 0.64)])
def test_the_methods_table(plan: Any, r: Any, chance: Any) -> None:
    items = round(0.1 / (r * 0.02) ** 2)
    (gate,) = plan(items, 1).gates()
    assert gate.pass_if_equal == pytest.approx(chance, abs=0.01)
    assert gate.pass_at_margin == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize(("cells", "items"), [(1, 1_546), (4, 619), (8, 464)])
def test_the_methods_items_for_eighty_percent(plan: Any, cells: Any, items: Any) -> None:
    (gate,) = plan(500, cells).gates()
    assert gate.items_for_80 == pytest.approx(items, abs=1)
    (enough,) = plan(gate.items_for_80, cells).gates()
    assert enough.pass_if_equal == pytest.approx(0.80, abs=0.01)


@pytest.mark.parametrize(("items", "pairs", "margin_pp"), [(400, 4, 2.0), (2_000, 2, 3.0), (3_000, 1, 1.0)])
def test_the_closed_form(plan: Any, items: Any, pairs: Any, margin_pp: Any) -> None:
    (gate,) = plan(items, pairs, margin_pp, discordance=0.08, rho=0.3).gates()
    m = margin_pp / 100
    se = math.sqrt(0.08 * (1 + (pairs - 1) * 0.3) / (items * pairs))
    # The planner also knows the pseudo-items and Student's t, which vanish with the number of items.
    assert gate.pass_if_equal == pytest.approx(norm.cdf(m / se - 1.6449), abs=0.01)
    assert gate.fail_if_twice_margin == pytest.approx(norm.cdf(min(m / se, 2 * m / se - 1.6449)), abs=0.01)
    delta = gate.minimum_detectable_pp / 100
    assert norm.cdf(min((delta - m) / se, delta / se - 1.6449)) == pytest.approx(0.8, abs=0.015)


@pytest.mark.parametrize("items", [400, 800])
def test_any_worsening_fails_what_the_gate_would_fail(plan: Any, items: int) -> None:
    (gate,) = plan(items, 1, fail_on="any_worsening").gates()
    delta, rng, failed = gate.minimum_detectable_pp / 100, np.random.default_rng(5), 0
    for _ in range(600):
        draws = rng.choice([-1.0, 0.0, 1.0], p=[(0.1 - delta) / 2, 0.9, (0.1 + delta) / 2], size=items)
        found = moments(np.sort(draws), 1.0)
        low, high = found.bounds(0.05)
        failed += low > 0.0 and high >= 0.02
    assert failed / 600 == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("stopping", ["fixed", "group", "anytime"])
def test_any_worsening_detects_less_than_the_margin_does(plan: Any, stopping: Any) -> None:
    strict, margin = (plan(5_000, 2, stopping=stopping, fail_on=on).gates()[0] for on in ("any_worsening", "margin"))
    assert strict.minimum_detectable_pp < 0.9 * margin.minimum_detectable_pp
    assert strict.pass_if_equal == pytest.approx(margin.pass_if_equal, abs=0.05)


def test_group_at_the_methods_example(plan: Any) -> None:
    (gate,) = plan(800, 4, stopping="group").gates()
    assert gate.pass_if_equal == pytest.approx(0.87, abs=0.02)
    assert gate.pass_at_margin == pytest.approx(0.046, abs=0.015)
    assert gate.expected_share == pytest.approx(0.72, abs=0.02)
    (gate,) = plan(800, 2, 3.0, stopping="group").gates()
    assert (gate.pass_if_equal, gate.expected_share) == pytest.approx((0.95, 0.63), abs=0.02)


def test_anytime_at_the_methods_example(plan: Any) -> None:
    (gate,) = plan(800, 4, stopping="anytime").gates()
    assert gate.pass_if_equal == pytest.approx(0.75, abs=0.04)
    assert gate.pass_at_margin < 0.065


@pytest.mark.parametrize("stopping", ["fixed", "group", "anytime"])
def test_more_items_and_wider_margins_conclude_more(plan: Any, stopping: Any) -> None:
    small, large = (plan(items, 2, stopping=stopping).gates()[0] for items in (400, 1_600))
    wide = plan(400, 2, 4.0, stopping=stopping).gates()[0]
    assert large.pass_if_equal > small.pass_if_equal + 0.1
    assert large.fail_if_twice_margin >= small.fail_if_twice_margin
    assert large.minimum_detectable_pp < small.minimum_detectable_pp
    assert wide.pass_if_equal > small.pass_if_equal + 0.1
    assert plan(small.items_for_80, 2, stopping=stopping).gates()[0].pass_if_equal == pytest.approx(0.8, abs=0.03)


def test_the_same_plan_twice_is_the_same(plan: Any) -> None:
    assert plan(700, 3, stopping="anytime").gates() == plan(700, 3, stopping="anytime").gates()


@pytest.mark.parametrize("stopping", ["fixed", "group", "anytime"])
def test_an_uncalibrated_judge_of_two_fifths_of_the_pairs_cannot_pass_two_points(plan: Any, stopping: Any) -> None:
    planner = plan(50_000, 4, stopping=stopping, judged=0.4)
    (gate,) = planner.gates()
    assert gate.pass_if_equal == pytest.approx(0.0, abs=0.06)
    assert gate.items_for_80 is None
    (warning,) = power_warnings(planner, (gate,))
    assert "no PASS is possible" in warning
    (mended,) = plan(50_000, 4, stopping=stopping, judged=0.4, bias={"v2": 0.01}).gates()
    assert mended.pass_if_equal > 0.99


def test_a_judge_costs_items(plan: Any) -> None:
    without, with_judge = (plan(800, 4, judged=share).gates()[0] for share in (0.0, 0.1))
    assert with_judge.items_for_80 == pytest.approx(without.items_for_80 * (2.0 / 1.5) ** 2, rel=0.01)


def test_judged_pairs_have_a_judged_reply() -> None:
    assert judged_pairs(0.0) == 0.0
    assert judged_pairs(0.2) == pytest.approx(0.36)
    assert judged_pairs(1.0) == 1.0


def test_replies_that_nothing_grades_close_no_gate(plan: Any) -> None:
    planner = plan(5_000, 4, stopping="group", ungradable=0.3)
    gates = planner.gates()
    assert not can_conclude(gates)
    assert "add a judge" in power_warnings(planner, gates)[0]
    assert can_conclude(plan(5_000, 4, stopping="group", ungradable=0.04).gates())


@pytest.mark.parametrize("stopping", ["fixed", "group", "anytime"])
def test_a_few_items_cannot_conclude(plan: Any, stopping: Any) -> None:
    planner = plan(12, 1, stopping=stopping)
    assert not can_conclude(planner.gates())
    assert "items give 80 %" in power_warnings(planner, planner.gates())[0]
    assert can_conclude(plan(800, 4, stopping=stopping).gates())


def test_one_critical_gate_that_can_conclude_is_enough(kit: Any) -> None:
    rules = kit.rule("a"), kit.rule("b", "none"), kit.rule("c", "asserts_true", critical=False)
    design = Design(rules=rules, candidates=("v2",), stopping="fixed")
    sizes = {"a": Slice(10, 1), "b": Slice(2_000, 4), "c": Slice(2_000, 4)}
    assert can_conclude(Planner(design=design, slices=sizes).gates())
    sizes["b"] = Slice(10, 1)
    gates = Planner(design=design, slices=sizes).gates()
    assert gates[2].pass_if_equal > 0.9
    assert not can_conclude(gates), "an advisory gate decides nothing"


def test_a_gate_without_items_is_said(kit: Any) -> None:
    planner = Planner(design=Design(rules=(kit.rule(),), candidates=("v2",)), slices={"g": Slice(0, 0.0)})
    gates = planner.gates()
    assert (gates[0].pass_if_equal, gates[0].fail_if_twice_margin, gates[0].items_for_80) == (0.0, 0.0, None)
    assert not can_conclude(gates)
    assert "no two items" in power_warnings(planner, gates)[0]


def test_slices_count_units_and_pairs(kit: Any) -> None:
    rules = kit.rule("a"), kit.rule("b", "none", contexts=("emotion:sad",))
    cells = [[("none", "asserts_false"), ("emotion:sad", "none")], [("none", "asserts_false")], [("none", "none")]]
    assert slices(rules, cells, repeats=3) == {"a": Slice(2, 3.0), "b": Slice(1, 3.0)}
    assert slices(rules, cells, clusters=("x", "x", ""))["a"] == Slice(1, 2.0)


def _default_planner(stopping: str, items: int, candidates: Any = ("v2",)) -> tuple[Planner, dict]:
    gates = build_gates(CONTEXTS, BELIEFS, GateSettings())
    cells = [[(c, b) for c in ("none", CONTEXTS[1 + i % 3]) for b in BELIEFS] for i in range(items)]
    weights: dict = {}
    for item in cells:
        for cell in item:
            weights[cell] = weights.get(cell, 0) + 1
    design = Design(rules=gates.rules, candidates=candidates, stopping=stopping)
    return Planner(design=design, slices=slices(gates.rules, cells)), weights


@pytest.mark.parametrize("stopping", ["fixed", "group", "anytime"])
def test_a_plan_takes_under_two_seconds(stopping: Any) -> None:
    planner, weights = _default_planner(stopping, 5_000)
    started = time.process_time()
    gates = planner.gates()
    share = planner.asked_share(weights)
    assert time.process_time() - started < 2.0
    assert len(gates) == 5
    assert 0.0 < share <= 1.0


def test_expected_calls_lie_between_the_gates_own_and_all() -> None:
    planner, weights = _default_planner("group", 800)
    share = planner.asked_share(weights)
    own = [gate.expected_share for gate in planner.gates()]
    assert min(own) < share < 1.0
    assert _default_planner("fixed", 800)[0].asked_share(weights) == 1.0
    # With two candidates a cell of the baseline is asked until neither needs it.
    two, _ = _default_planner("group", 800, ("v2", "v3"))
    assert share < two.asked_share(weights) < 1.0
    assert two.asked_share({}) == 1.0
