"""Belief effects, relative changes, McNemar, statements, warmth and length against plain loops."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.statistics.interval import moments
from services.orchestrator.domain.statistics.pairs import INCORRECT, REFUSAL, UNDECIDED, PairTable

TASKS = ("core", "disinfo", "medqa")


@pytest.fixture(scope="module")
def both(columns: Any, rows: Any) -> Any:
    made = columns(90, seed=5, repeats=2)
    return compare("c", "v2", "v1", PairTable.build(**made)), rows(made)


def _error(row: Any, arm: Any) -> Any:
    verdict = row[f"verdict_{arm}"]
    return None if verdict > REFUSAL else int(verdict == INCORRECT)


def _adopts(row: Any, arm: Any) -> Any:
    return None if row[f"verdict_{arm}"] > REFUSAL or row[f"adopts_{arm}"] == UNDECIDED else int(row[f"adopts_{arm}"])


def _items(plain: Any, task: Any, keep: Any, outcome: Any = _error) -> Any:
    """By item: (mean difference, pairs)."""
    found = {}
    for row in plain:
        ref, trt = outcome(row, "ref"), outcome(row, "trt")
        if row["task"] == task and keep(row) and None not in (ref, trt):
            found.setdefault(row["item"], []).append(trt - ref)
    return {item: (float(np.mean(d)), len(d)) for item, d in found.items()}


def _pooled(beliefs: Any) -> Any:
    return ("asserts_false", "denies_true") if beliefs == "false_belief" else (beliefs,)


@pytest.mark.parametrize("belief", ["asserts_false", "denies_true", "false_belief", "asserts_true"])
def test_belief_effect_on_errors(both: Any, belief: Any) -> None:
    found, plain = both
    gaps, increments, errors = [], [], []
    for task in TASKS:
        held = _items(plain, task, lambda row: row["belief"] in _pooled(belief))
        control = _items(plain, task, lambda row: row["belief"] == "none_lead_in")
        (effect,) = [e for e in found.belief_effects if (e.metric, e.task, e.belief) == ("error", task, belief)]
        common = sorted(set(held) & set(control))
        d = [held[item][0] - control[item][0] for item in common]
        assert effect.gap.value == pytest.approx(np.mean([v for v, _ in held.values()]), abs=1e-12)
        assert effect.reference_gap.value == pytest.approx(np.mean([control[i][0] for i in common]), abs=1e-12)
        assert effect.increment.value == pytest.approx(np.mean(d), abs=1e-12)
        assert effect.increment.n_items == len(d)
        h = math.sqrt(sum(len(common) / sum(side[i][1] for i in common) for side in (held, control)))
        lower, upper = moments(np.array(d), h).bounds(0.025)
        assert (effect.increment.lower, effect.increment.upper) == pytest.approx((lower, upper), abs=1e-12)
        gaps.append(effect.gap.value)
        increments.append(effect.increment.value)
        errors.append(effect.increment.standard_error)
    overall = next(e for e in found.belief_effects if (e.metric, e.task, e.belief) == ("error", "overall", belief))
    assert overall.gap.value == pytest.approx(np.mean(gaps), abs=1e-12)
    assert overall.increment.value == pytest.approx(np.mean(increments), abs=1e-12)
    assert overall.increment.standard_error == pytest.approx(math.sqrt(np.square(errors).sum()) / 3, abs=1e-12)


def test_adoption_is_set_against_the_unprompted_false_answer(both: Any) -> None:
    found, plain = both
    (effect,) = [
        e for e in found.belief_effects if (e.metric, e.task, e.belief) == ("adopts_belief", "core", "asserts_false")
    ]
    held = _items(plain, "core", lambda row: row["belief"] == "asserts_false", _adopts)
    control = _items(plain, "core", lambda row: row["belief"] == "none_lead_in", _adopts)
    expected = np.mean([held[item][0] - control[item][0] for item in set(held) & set(control)])
    assert effect.increment.value == pytest.approx(expected, abs=1e-12)
    (denial,) = [
        e for e in found.belief_effects if (e.metric, e.task, e.belief) == ("adopts_belief", "core", "denies_true")
    ]
    assert denial.gap.value is not None
    assert denial.increment is None


def test_without_the_lead_in_level_there_is_a_gap_and_no_increment(columns: Any) -> None:
    made = columns(30)
    keep = [belief != "none_lead_in" for belief in made["belief"]]
    made = {name: [v for v, kept in zip(values, keep, strict=True) if kept] for name, values in made.items()}
    found = compare("c", "v2", "v1", PairTable.build(**made))
    assert found.beliefs == ("none", "asserts_false", "denies_true", "asserts_true")
    assert {(e.reference_gap, e.increment) for e in found.belief_effects} == {(None, None)}


def test_relative_change(both: Any) -> None:
    found, plain = both
    ratios = []
    for task in TASKS:
        rates = []
        for arm in ("ref", "trt"):
            items = {}
            for row in plain:
                plainly = row["task"] == task and row["context"] == "none" and row["belief"] in ("none", "none_lead_in")
                if plainly and None not in (_error(row, "ref"), _error(row, "trt")):
                    items.setdefault(row["item"], []).append(_error(row, arm))
            rates.append(np.mean([np.mean(listed) for listed in items.values()]))
        (change,) = [c for c in found.relative if (c.task, c.belief) == (task, "no_belief")]
        assert change.value == pytest.approx(rates[1] / rates[0] - 1, abs=1e-12)
        assert change.lower < change.value < change.upper
        ratios.append(rates[1] / rates[0] - 1)
    overall = next(c for c in found.relative if (c.task, c.belief) == ("overall", "no_belief"))
    assert overall.value == pytest.approx(np.mean(ratios), abs=1e-12)


def test_relative_change_without_errors_in_the_reference_is_none(columns: Any) -> None:
    made = columns(30, missing=0.0)
    made["verdict_ref"] = np.zeros(300, dtype=int)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    assert {(c.value, c.lower, c.upper) for c in found.relative} == {(None, None, None)}


def test_mcnemar_at_the_first_repeat_with_families_of_one_task_and_belief(both: Any) -> None:
    found, plain = both
    families = {}
    for test in found.mcnemar:
        rows = [
            row
            for row in plain
            if (row["task"], row["context"], row["belief"], row["repeat"]) == (test.task, test.context, test.belief, 0)
        ]
        pairs = [(_error(row, "ref"), _error(row, "trt")) for row in rows]
        pairs = [pair for pair in pairs if None not in pair]
        worse, better = pairs.count((0, 1)), pairs.count((1, 0))
        assert (test.worse, test.better, test.n_pairs) == (worse, better, len(pairs))
        expected = stats.binomtest(worse, worse + better).pvalue if worse + better else 1.0
        assert test.p == pytest.approx(expected, rel=1e-9)
        families.setdefault((test.task, test.belief), []).append(test)
    assert len(families) == 15
    for tests in families.values():
        assert len(tests) == 4
        adjusted = stats.false_discovery_control([test.p for test in tests])
        assert [test.p_adjusted for test in tests] == pytest.approx(adjusted, abs=1e-12)


def test_one_statement_left_out_at_a_time(both: Any) -> None:
    found, plain = both
    for entry in found.statements:
        beliefs = ("none", "none_lead_in") if entry.belief == "no_belief" else ("asserts_false", "denies_true")
        rows = [row for row in plain if row["context"] == entry.context and row["belief"] in beliefs]

        def estimate(without: Any, rows: Any = rows) -> Any:
            kept = [row for row in rows if row["statement"] != without]
            means = [_items(kept, task, lambda row: True) for task in TASKS]
            return np.mean([np.mean([d for d, _ in items.values()]) for items in means if items])

        statements = sorted({row["statement"] for row in rows})
        values = {name: estimate(name) for name in statements}
        assert entry.n_statements == len(statements)
        assert entry.estimate == pytest.approx(estimate(None), abs=1e-12)
        assert (entry.lowest, entry.highest) == pytest.approx((min(values.values()), max(values.values())), abs=1e-12)
        assert values[entry.lowest_without] == pytest.approx(entry.lowest, abs=1e-12)
        assert values[entry.highest_without] == pytest.approx(entry.highest, abs=1e-12)
    assert {(entry.context, entry.belief) for entry in found.statements} == {
        (context, belief) for context in found.contexts[1:] for belief in ("no_belief", "false_belief")
    }


@pytest.mark.parametrize("quantity", ["warmth", "length"])
def test_measured_quantities(both: Any, quantity: Any) -> None:
    found, plain = both
    lines = getattr(found, quantity)

    def items(task: Any, contexts: Any) -> Any:
        by_item = {}
        for row in plain:
            ref, trt = row[f"{quantity}_ref"], row[f"{quantity}_trt"]
            measured = (np.isfinite(ref) and np.isfinite(trt)) if quantity == "warmth" else (ref > 0 and trt > 0)
            if row["task"] == task and row["context"] in contexts and measured:
                by_item.setdefault(row["item"], []).append((ref, trt))
        return [np.mean(listed, axis=0) for listed in by_item.values()]

    for context, contexts in (("all", found.contexts), ("emotion", ("emotion:sad", "emotion:happy"))):
        means, squares = [], []
        for task in TASKS:
            (line,) = [one for one in lines if (one.task, one.context, one.belief) == (task, context, "all")]
            both_means = np.array(items(task, contexts))
            d = both_means[:, 1] - both_means[:, 0]
            assert (line.mean_ref, line.mean_trt) == pytest.approx(tuple(both_means.mean(axis=0)), rel=1e-12)
            interval = stats.ttest_1samp(d, 0.0).confidence_interval(0.95)
            assert (line.difference.lower, line.difference.upper) == pytest.approx(tuple(interval), rel=1e-9)
            means.append(d.mean())
            squares.append(d.var(ddof=1) / d.size)
        (line,) = [one for one in lines if (one.task, one.context, one.belief) == ("overall", context, "all")]
        assert line.difference.value == pytest.approx(np.mean(means), rel=1e-9)
        assert line.difference.standard_error == pytest.approx(math.sqrt(sum(squares)) / 3, rel=1e-9)


def test_what_was_not_measured_has_no_lines(columns: Any) -> None:
    made = columns(20)
    for name in ("warmth_ref", "warmth_trt", "length_ref", "length_trt"):
        del made[name]
    found = compare("c", "v2", "v1", PairTable.build(**made))
    assert (found.warmth, found.length, found.length_shares) == ((), (), ())
    assert not [one for one in found.ame if one.model == "plain_length"]
