"""PASS, FAIL, INCONCLUSIVE, INVALID: which data give which, and in which order they win."""

import math
from typing import Any

import numpy as np
import pytest

from services.orchestrator.domain.gate.design import Design, ItemOrder
from services.orchestrator.domain.gate.result import FAIL, INCONCLUSIVE, INVALID, OPEN, PASS
from services.orchestrator.domain.gate.verdict import advance
from services.orchestrator.domain.statistics.interval import paired_interval
from services.orchestrator.domain.statistics.pairs import FAILED, REFUSAL, UNGRADABLE, PairTable

ALL_STOPPING = ["fixed", "group", "anytime"]


@pytest.mark.parametrize("stopping", ALL_STOPPING)
def test_equal_arms_pass_and_a_worse_candidate_fails(kit: Any, errors: Any, stopping: Any) -> None:
    assert kit.run(*errors(2_000, both=300, worse=60, better=60), stopping=stopping).verdict == PASS
    assert kit.run(*errors(2_000, both=300, worse=260, better=60), stopping=stopping).verdict == FAIL


def test_pass_and_fail_follow_the_interval(kit: Any, errors: Any) -> None:
    for worse in range(20, 120, 5):
        ref, trt = errors(900, both=100, worse=worse, better=30)
        end = kit.run(ref, trt)
        interval = paired_interval(trt - ref)
        if interval.p_worse < 0.05 and interval.estimate >= 0.02:
            expected = FAIL
        else:
            expected = PASS if interval.upper < 0.02 else INCONCLUSIVE
        assert end.verdict == expected
        assert (end.results[0].lower, end.results[0].upper) == (interval.lower, interval.upper)


def test_worse_but_less_than_the_margin_does_not_fail(kit: Any, errors: Any) -> None:
    ref, trt = errors(3_000, worse=60, better=12)  # 1.6 points, far from zero
    assert kit.run(ref, trt).results[0].p_fail < 1e-6
    assert kit.run(ref, trt).verdict == INCONCLUSIVE
    assert kit.run(ref, trt, rule=kit.rule(fail_on="any_worsening")).verdict == FAIL
    assert kit.run(ref, trt, rule=kit.rule(fail_on="any_worsening", margin_pp=3.0)).verdict == PASS


@pytest.mark.parametrize("stopping", ["fixed", "group"])
def test_an_improvement_is_a_pass_labelled_so(kit: Any, errors: Any, stopping: Any) -> None:
    end = kit.run(*errors(1_500, both=300, worse=10, better=200), stopping=stopping)
    assert (end.verdict, end.results[0].improvement) == (PASS, True)
    assert "improve" in end.reason
    assert not kit.run(*errors(4_000, both=300, worse=60, better=60), stopping=stopping).results[0].improvement


@pytest.mark.parametrize("stopping", ALL_STOPPING)
@pytest.mark.parametrize(("items", "verdict"), [(149, INCONCLUSIVE), (400, PASS)])
def test_without_discordant_pairs_a_pass_needs_three_over_the_margin(
    kit: Any, errors: Any, stopping: Any, items: Any, verdict: Any
) -> None:
    end = kit.run(*errors(items, both=items // 3), stopping=stopping)
    assert end.verdict == verdict
    assert end.results[0].k_discordant == 0
    assert math.isfinite(end.results[0].upper)


@pytest.mark.parametrize("stopping", ALL_STOPPING)
@pytest.mark.parametrize(("ref", "trt"), [([0], [0]), ([0, 0], [0, 0]), ([0, 1], [1, 0]), ([0, 0], [1, 1]), ([0], [1])])
def test_a_handful_of_items_never_passes_and_stays_finite(kit: Any, stopping: Any, ref: Any, trt: Any) -> None:
    end = kit.run(np.array(ref), np.array(trt), stopping=stopping)
    assert end.verdict in (INCONCLUSIVE, FAIL)
    for value in (end.results[0].estimate, end.results[0].lower, end.results[0].upper):
        assert value is None or math.isfinite(value)
    assert end.reason


@pytest.mark.parametrize("stopping", ALL_STOPPING)
@pytest.mark.parametrize("items", [8, 10, 15, 20, 30, 40])
def test_a_candidate_that_is_worse_on_every_item_passes_no_margin(kit: Any, stopping: Any, items: Any) -> None:
    """A strict first look at a handful of items moves the formula's upper bound far below the estimate."""
    end = kit.run(np.zeros(items, int), np.ones(items, int), stopping=stopping, rule=kit.rule(margin_pp=60.0))
    assert end.verdict != PASS
    assert end.results[0].upper >= end.results[0].estimate == 1.0


@pytest.mark.parametrize("stopping", ALL_STOPPING)
def test_failed_calls_over_two_percent_are_invalid_never_pass(kit: Any, errors: Any, stopping: Any) -> None:
    ref, trt = errors(1_000, both=200)
    ref[:20] = FAILED
    assert kit.run(ref, trt, stopping=stopping).verdict == PASS
    # Spread over the run: 2.1 % at every look.
    ref, trt = errors(1_000, both=200)
    trt[::47] = FAILED
    end = kit.run(ref, trt, stopping=stopping)
    assert end.verdict == INVALID
    assert "candidate's calls failed" in end.reason


@pytest.mark.parametrize("stopping", ALL_STOPPING)
def test_nothing_answered_is_invalid(kit: Any, stopping: Any) -> None:
    end = kit.run(np.zeros(300), np.full(300, FAILED), stopping=stopping)
    assert end.verdict == INVALID
    assert end.results[0].n_items == 0
    assert end.results[0].estimate is None


def test_a_broken_invariant_wins_over_every_result(kit: Any, errors: Any) -> None:
    end = kit.run(*errors(2_000, worse=400), invariants=("the judge changed",))
    assert (end.verdict, end.reason, end.stop) == (INVALID, "the judge changed", True)


def test_invalid_wins_over_fail_and_fail_over_inconclusive(kit: Any) -> None:
    items = 1_000
    bad, broken, quiet = kit.rule("bad", "asserts_false"), kit.rule("broken", "none"), kit.rule("quiet", "asserts_true")
    ref = np.zeros((items, 3), dtype=int)
    trt = np.zeros((items, 3), dtype=int)
    trt[:200, 0] = 1
    trt[::2, 2] = np.arange(items // 2) % 2
    ref[::2, 2] = 1 - trt[::2, 2]
    broken_trt = trt.copy()
    broken_trt[::20, 1] = FAILED

    def verdict(rules: Any, trt: Any) -> str:
        columns = kit.columns(ref, trt, beliefs=("asserts_false", "none", "asserts_true"))
        design = Design(rules=rules, candidates=("v2",), stopping="fixed")
        return advance(design, kit.order(items), {"v2": PairTable.build(**columns)}, items).verdict

    assert verdict((bad, broken, quiet), broken_trt) == INVALID
    assert verdict((bad, broken, quiet), trt) == FAIL
    assert verdict((broken, quiet), trt) == INCONCLUSIVE
    assert verdict((broken,), trt) == PASS


def test_an_advisory_gate_never_changes_the_verdict(kit: Any) -> None:
    items = 1_000
    ref, trt = np.zeros((items, 2), dtype=int), np.zeros((items, 2), dtype=int)
    trt[:300, 1] = 1
    rules = kit.rule("decides", "asserts_false"), kit.rule("shown", "none", critical=False)
    columns = kit.columns(ref, trt, beliefs=("asserts_false", "none"))
    for stopping in ALL_STOPPING:
        design = Design(rules=rules, candidates=("v2",), stopping=stopping)
        end = advance(design, kit.order(items), {"v2": PairTable.build(**columns)}, items)
        assert end.verdict == PASS
    trt[::10, 1] = FAILED
    columns = kit.columns(ref, trt, beliefs=("asserts_false", "none"))
    design = Design(rules=rules, candidates=("v2",), stopping="fixed")
    end = advance(design, kit.order(items), {"v2": PairTable.build(**columns)}, items)
    assert (end.verdict, end.results[1].decision) == (PASS, INVALID)


@pytest.mark.parametrize("stopping", ALL_STOPPING)
def test_ungradable_replies_over_five_percent_ask_for_a_judge(kit: Any, errors: Any, stopping: Any) -> None:
    ref, trt = errors(1_000, both=200)
    ref[::19] = trt[::19] = UNGRADABLE
    end = kit.run(ref, trt, stopping=stopping)
    assert end.verdict == INCONCLUSIVE
    assert "Add a judge" in end.reason


@pytest.mark.parametrize("stopping", ALL_STOPPING)
def test_ungradable_replies_in_spite_of_a_judge_point_to_its_answers(kit: Any, errors: Any, stopping: Any) -> None:
    ref, trt = errors(1_000, both=200)
    ref[::19] = trt[::19] = UNGRADABLE
    end = kit.run(ref, trt, stopping=stopping, judge=True)
    assert end.verdict == INCONCLUSIVE
    assert "Add a judge" not in end.reason
    assert "judge_raw" in end.reason
    assert "grading.judge.max_tokens" in end.reason


def test_what_several_gates_share_is_said_once(kit: Any, errors: Any) -> None:
    ref, trt = errors(1_000, both=200)
    ref[::19] = trt[::19] = UNGRADABLE
    columns = kit.columns(np.stack([ref, ref], axis=1), np.stack([trt, trt], axis=1), beliefs=("asserts_false", "none"))
    rules = kit.rule("first", "asserts_false"), kit.rule("second", "none")
    design = Design(rules=rules, candidates=("v2",), stopping="fixed")
    end = advance(design, kit.order(1_000), {"v2": PairTable.build(**columns)}, 1_000)
    assert end.verdict == INCONCLUSIVE
    assert end.reason.startswith("first, second: 5.3% of the baseline's")
    assert end.reason.count("Add a judge") == 1


def test_ungradable_shares_may_differ_by_half_the_margin(kit: Any, errors: Any) -> None:
    ref, trt = errors(1_000, both=200)
    trt[:10] = UNGRADABLE
    assert kit.run(ref, trt).verdict == PASS
    trt[:11] = UNGRADABLE
    assert kit.run(ref, trt).verdict == INCONCLUSIVE
    assert kit.run(ref, trt, rule=kit.rule(margin_pp=2.3)).verdict == PASS


def test_worst_case_bounds_hold_every_outcome_of_the_missing(kit: Any, errors: Any) -> None:
    ref, trt = errors(400, both=50, worse=10, better=5)
    ref[:3], trt[5:9] = UNGRADABLE, FAILED
    result = kit.run(ref, trt).results[0]
    low = (np.where(trt > 1, 0, trt) - np.where(ref > 1, 1, ref)).mean()
    high = (np.where(trt > 1, 1, trt) - np.where(ref > 1, 0, ref)).mean()
    assert (result.worst_lower, result.worst_upper) == pytest.approx((low, high), abs=1e-15)
    assert result.worst_lower <= result.estimate <= result.worst_upper


@pytest.mark.parametrize("stopping", ALL_STOPPING)
def test_an_uncalibrated_judge_of_two_fifths_of_the_pairs_cannot_pass_two_points(
    kit: Any, errors: Any, stopping: Any
) -> None:
    ref, trt = errors(20_000, both=3_000)
    judged = np.arange(20_000) % 5 < 2
    end = kit.run(ref, trt, stopping=stopping, judged=judged)
    assert end.verdict == INCONCLUSIVE
    assert "calibrate it" in end.reason
    assert end.results[0].judge_allowance == pytest.approx(0.02)
    assert kit.run(ref, trt, stopping=stopping, judged=judged, judge_bias={"v2": 0.01}).verdict == PASS


def test_a_judge_harder_on_the_candidate_earns_no_credit(kit: Any, errors: Any) -> None:
    ref, trt = errors(1_000, both=100, worse=60, better=60)
    judged = np.ones(1_000, dtype=bool)
    plain = kit.run(ref, trt).results[0].upper
    assert kit.run(ref, trt, judged=judged, judge_bias={"v2": -0.05}).results[0].upper == plain
    assert kit.run(ref, trt, judged=judged, judge_bias={"v2": 0.01}).results[0].upper == pytest.approx(plain + 0.01)


@pytest.mark.parametrize("metric", ["refusal", "adopts_belief"])
def test_other_outcomes_are_counted_as_their_own(kit: Any, metric: Any) -> None:
    items = 1_000
    rule = kit.rule(metric=metric)
    trt = np.zeros(items, dtype=int)
    trt[:150] = REFUSAL
    adopts = np.zeros((2, items), dtype=int)
    adopts[1, :150] = 1
    more = {"adopts_ref": adopts[0], "adopts_trt": adopts[1]}
    assert kit.run(np.zeros(items), trt, rule=rule, **more).verdict == FAIL
    assert kit.run(np.zeros(items), trt, rule=kit.rule(), **more).verdict == PASS


def test_every_candidate_and_critical_gate_enters_holm(kit: Any, errors: Any) -> None:
    ref, trt = errors(900, both=100, worse=65, better=42)  # 2.6 points, p about .013
    p = paired_interval(trt - ref).p_worse
    assert 0.005 < p < 0.025
    tables = {"bad": PairTable.build(**kit.columns(ref, trt))}
    verdicts = []
    for others in range(6):
        names = ("bad", *(f"fine{k}" for k in range(others)))
        tables.update({name: PairTable.build(**kit.columns(ref, ref)) for name in names[1:]})
        end = advance(
            Design(rules=(kit.rule(),), candidates=names, stopping="fixed"),
            kit.order(900),
            {name: tables[name] for name in names},
            900,
        )
        assert end.results[0].p_adjusted == pytest.approx(min(1.0, (others + 1) * p))
        verdicts.append(end.verdict)
    assert verdicts[0] == FAIL
    assert verdicts[-1] == INCONCLUSIVE


def test_what_would_help_is_said(kit: Any, errors: Any) -> None:
    result = kit.run(*errors(300, both=50, worse=15, better=15)).results[0]
    assert result.decision == INCONCLUSIVE
    assert result.more_items > 100
    assert f"about {result.more_items:,} more items" in result.reason


def test_clusters_are_the_units(kit: Any) -> None:
    items = 400
    ref, trt = np.zeros(items, dtype=int), np.zeros(items, dtype=int)
    trt[:40] = 1
    names = [f"s{i // 4}" for i in range(items)]
    table = PairTable.build(**kit.columns(ref, trt, cluster=names))
    keys = [("core", f"q{i:04d}") for i in range(items)]
    order = ItemOrder.of(keys, dict(zip(keys, names, strict=True)))
    end = advance(Design(rules=(kit.rule(),), candidates=("v2",), stopping="fixed"), order, {"v2": table}, order.size)
    assert order.size == end.results[0].n_items == 100
    assert end.results[0].k_discordant == 10
    whole = paired_interval([1.0] * 10 + [0.0] * 90, mean_pairs=4.0)
    assert (end.results[0].lower, end.results[0].upper) == pytest.approx((whole.lower, whole.upper))


def test_what_cannot_be_is_refused(kit: Any, errors: Any) -> None:
    table = PairTable.build(**kit.columns(*errors(10)))
    design = Design(rules=(kit.rule(),), candidates=("v2",))
    with pytest.raises(ValueError, match="no pairs of candidate 'v2'"):
        advance(design, kit.order(10), {}, 0)
    with pytest.raises(ValueError, match="11 complete units of 10"):
        advance(design, kit.order(10), {"v2": table}, 11)
    with pytest.raises(ValueError, match=r"'q0009'.*not in the order"):
        advance(design, kit.order(9), {"v2": table}, 9)
    with pytest.raises(ValueError, match="stopping rule"):
        Design(rules=(kit.rule(),), candidates=("v2",), stopping="never")
    with pytest.raises(ValueError, match="needs a gate and a candidate"):
        Design(rules=(), candidates=("v2",))
    with pytest.raises(ValueError, match="occurs twice"):
        ItemOrder.of([("a", "1"), ("a", "1")])


def test_before_the_first_look_everything_is_open(kit: Any, errors: Any) -> None:
    table = PairTable.build(**kit.columns(*errors(100)))
    design = Design(rules=(kit.rule(),), candidates=("v2",), stopping="group")
    now = advance(design, kit.order(100), {"v2": table}, 19)
    assert (now.verdict, now.stop, now.looks_done, now.ask_units) == (OPEN, False, 0, 20)
    assert now.results[0].decision == OPEN
