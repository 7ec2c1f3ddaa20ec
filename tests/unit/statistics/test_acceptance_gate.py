"""METHOD section 8, acceptance tests of the gate: operating characteristics of the stopping rules, by simulation of the
gate that runs use.

The ordinary run has about a tenth of the simulations and threefold tolerances; `make nightly` runs the full sizes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from services.orchestrator.domain.gate.design import Design, ItemOrder, planned_variance
from services.orchestrator.domain.gate.eprocess import running_variance, wealth
from services.orchestrator.domain.gate.power import Assumptions, Planner, slices
from services.orchestrator.domain.gate.result import FAIL, PASS
from services.orchestrator.domain.gate.rules import GateRule
from services.orchestrator.domain.gate.verdict import advance

P, D, RHO = 0.2, 0.1, 0.2
SIZES = [
    pytest.param(400, 3.0, id="tenth"),
    pytest.param(4_000, 1.0, id="full", marks=pytest.mark.nightly),
]

Outcome = tuple[str, float]


def _rule(name: str, contexts: Sequence[str], margin: float) -> GateRule:
    return GateRule(name=name, metric="error", contexts=tuple(contexts), beliefs=("none",), margin_pp=100.0 * margin)


def _cells(count: int) -> list[tuple[str, str]]:
    return [(f"c{k}", "none") for k in range(count)]


def _order(items: int) -> ItemOrder:
    return ItemOrder.of([("core", f"q{i:05d}") for i in range(items)])


@pytest.fixture(scope="session")
def simulate(world: Any, blank: Any) -> Callable[..., list[Outcome]]:
    """Decisions of one gate, and the share of the items it used, in runs of the gate itself."""

    def run(stopping: str, items: int, cells: int, margin: float, difference: float, runs: int) -> list[Outcome]:
        rule = _rule("g", [name for name, _ in _cells(cells)], margin)
        design = Design(rules=(rule,), candidates=("v2",), stopping=stopping)
        order, fill, made = _order(items), blank(items, _cells(cells)), world(P, D, RHO)
        rng = np.random.default_rng((21, items, cells, round(1e4 * difference)))
        found = []
        for _ in range(runs):
            end = advance(design, order, {"v2": fill(*made.draw(rng, (items,), cells, difference))}, items)
            found.append((end.verdict, end.results[0].units / items))
        return found

    return run


def _share(found: Sequence[Outcome], decision: str) -> float:
    return sum(verdict == decision for verdict, _ in found) / len(found)


def _asked(found: Sequence[Outcome]) -> float:
    return sum(asked for _, asked in found) / len(found)


# Items, cells, margin; mean share of the items asked at no difference, the margin and twice the margin.
GROUP = [(4, 0.02, (0.72, 0.75, 0.42)), (2, 0.03, (0.63, 0.71, 0.35))]


@pytest.mark.parametrize(("runs", "wider"), SIZES)
@pytest.mark.parametrize(("cells", "margin", "shares"), GROUP)
def test_group_design(simulate: Any, runs: Any, wider: Any, cells: Any, margin: Any, shares: Any) -> None:
    items = 800
    equal, at_margin, twice = (simulate("group", items, cells, margin, k * margin, runs) for k in (0, 1, 2))
    fixed = simulate("fixed", items, cells, margin, 0.0, runs)
    assert _share(equal, FAIL) <= 0.05 + 0.01 * wider
    assert _share(at_margin, PASS) <= 0.05 + 0.015 * wider
    assert _share(equal, PASS) == pytest.approx(_share(fixed, PASS), abs=0.03 * wider)
    assert _share(twice, FAIL) > 0.95
    for found, share in zip((equal, at_margin, twice), shares, strict=True):
        assert _asked(found) == pytest.approx(share, abs=0.04 * wider)


DESIGNS = [("fixed", 300, 4, 0.02), ("fixed", 800, 1, 0.02), ("group", 400, 2, 0.03), ("group", 1_600, 4, 0.02)]


@pytest.mark.parametrize(("runs", "wider"), SIZES)
@pytest.mark.parametrize(("stopping", "items", "cells", "margin"), DESIGNS)
def test_planner_foretells_what_happens(
    simulate: Any, runs: Any, wider: Any, stopping: Any, items: Any, cells: Any, margin: Any
) -> None:
    rule = _rule("g", [name for name, _ in _cells(cells)], margin)
    planner = Planner(
        design=Design(rules=(rule,), candidates=("v2",), stopping=stopping),
        slices=slices([rule], [_cells(cells)] * items),
        assumptions=Assumptions(discordance=D, rho=RHO),
    )
    (plan,) = planner.gates()
    found = simulate(stopping, items, cells, margin, 0.0, runs)
    assert plan.pass_if_equal == pytest.approx(_share(found, PASS), abs=0.04 * wider)
    if stopping == "group":
        assert plan.expected_share == pytest.approx(_asked(found), abs=0.04 * wider)


@pytest.mark.parametrize(("runs", "wider"), SIZES)
@pytest.mark.parametrize("stopping", ["fixed", "group"])
def test_four_gates_together(world: Any, blank: Any, runs: Any, wider: Any, stopping: Any) -> None:
    items, margin = 800, 0.03
    rules = tuple(_rule(f"g{k}", (f"c{2 * k}", f"c{2 * k + 1}"), margin) for k in range(4))
    design = Design(rules=rules, candidates=("v2",), stopping=stopping)
    order, fill, made = _order(items), blank(items, _cells(8)), world(P, D, RHO)
    rng = np.random.default_rng(31)
    false_fails = false_passes = 0
    runs //= 2
    for _ in range(runs):
        ref, trt = made.draw(rng, (items,), 8)
        false_fails += advance(design, order, {"v2": fill(ref, trt)}, items).verdict == FAIL
        # The fourth gate's cells come from a world in which the treated model is worse by the margin.
        ref, worse = made.draw(rng, (items,), 8, margin)
        same, equal = made.draw(rng, (items,), 8)
        ref[:, :6], worse[:, :6] = same[:, :6], equal[:, :6]
        false_passes += advance(design, order, {"v2": fill(ref, worse)}, items).verdict == PASS
    assert false_fails / runs <= 0.05 + 0.015 * wider
    assert false_passes / runs <= 0.05 + 0.015 * wider


def _fixed_items(cells: int, margin: float) -> int:
    """Items with which the fixed design passes in 80 % of the cases without a difference."""
    return math.ceil(planned_variance(D, RHO, cells) * ((1.645 + 0.8416) / margin) ** 2)


def _ever(log_wealth: Any) -> Any:
    return log_wealth.max(axis=-1) >= math.log(20.0)


@pytest.mark.parametrize(("runs", "wider"), SIZES)
@pytest.mark.parametrize("plan_known", [True, False])
def test_anytime_design_over_long_streams(world: Any, runs: Any, wider: Any, plan_known: Any) -> None:
    cells, margin = 4, 0.02
    fixed = _fixed_items(cells, margin)
    made, rng = world(P, D, RHO), np.random.default_rng(41)
    planned = planned_variance(D, RHO, cells)
    false_fail, false_pass, power = [], [], []
    for _ in range(max(1, runs // 400)):
        equal = made.differences(rng, (400, 4 * fixed), cells)
        at_margin = made.differences(rng, (400, 4 * fixed), cells, margin)
        known = [planned, planned] if plan_known else [running_variance(d, planned) for d in (equal, at_margin)]
        games = wealth(equal, margin, known[0])
        false_fail.append(_ever(games.against_equal).mean())
        false_pass.append(_ever(wealth(at_margin, margin, known[1]).against_margin).mean())
        power.append(_ever(games.against_margin[:, : 2 * fixed]).mean())
    assert np.mean(false_fail) <= 0.05 + 0.015 * wider
    assert np.mean(false_pass) <= 0.05 + 0.015 * wider
    assert np.mean(power) >= 0.82


@pytest.mark.parametrize(("runs", "wider"), SIZES)
def test_pairing_and_early_stopping_save_calls(simulate: Any, runs: Any, wider: Any) -> None:
    items, margin = _fixed_items(1, 0.02), 0.02
    equal, worse = (simulate("group", items, 1, margin, difference, runs // 2) for difference in (0.0, margin))
    power = _share(equal, PASS)
    spread = 2.0 * P * (1.0 - P)
    unpaired = spread * ((1.645 + float(ndtri(power))) / margin) ** 2
    mean_calls = items * (_asked(equal) + _asked(worse)) / 2.0
    assert mean_calls <= unpaired / (3.5 if wider == 1.0 else 3.0)


def test_the_anytime_gate_closes_where_the_wealth_says(world: Any, blank: Any) -> None:
    items, cells, margin = 600, 2, 0.03
    made, fill, order = world(P, D, RHO), blank(items, _cells(cells)), _order(items)
    rule = _rule("g", [name for name, _ in _cells(cells)], margin)
    planned = planned_variance(D, RHO, cells)
    design = Design(
        rules=(rule,), candidates=("v2",), stopping="anytime", variances={"g": planned}, variances_known=True
    )
    rng = np.random.default_rng(51)
    seen = set()
    for difference in (0.0, 0.0, 0.06, 0.06):
        ref, trt = made.draw(rng, (items,), cells, difference)
        end = advance(design, order, {"v2": fill(ref, trt)}, items)
        d = (trt - ref).mean(axis=-1)
        games = wealth(d, margin, planned)
        limit = math.log(20.0)
        passing = np.flatnonzero((games.against_margin >= limit) & (np.cumsum(d != 0) >= 10))
        failing = np.flatnonzero((games.against_equal >= limit) & (np.cumsum(d) / np.arange(1, items + 1) >= margin))
        first = min([*passing[:1], *failing[:1]], default=items - 1)
        assert end.results[0].units == first + 1
        seen.add(end.verdict)
    assert seen == {PASS, FAIL}
