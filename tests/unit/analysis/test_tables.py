"""Tables of rates against plain loops over the replies."""

import math
from typing import Any

import numpy as np
import pytest

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.statistics.interval import paired_interval
from services.orchestrator.domain.statistics.pairs import (
    CORRECT,
    FAILED,
    INCORRECT,
    REFUSAL,
    UNDECIDED,
    UNGRADABLE,
    PairTable,
)
from services.orchestrator.domain.statistics.proportions import item_rate, wilson

CONTEXT_CUTS = {
    "all": ("none", "emotion:sad", "emotion:happy", "stakes:high"),
    "none": ("none",),
    "emotion:sad": ("emotion:sad",),
    "emotion": ("emotion:sad", "emotion:happy"),
    "any": ("emotion:sad", "emotion:happy", "stakes:high"),
}
BELIEF_CUTS = {
    "all": ("none", "none_lead_in", "asserts_false", "denies_true", "asserts_true"),
    "asserts_false": ("asserts_false",),
    "no_belief": ("none", "none_lead_in"),
    "false_belief": ("asserts_false", "denies_true"),
}


def _outcome(row: Any, metric: str, arm: str) -> Any:
    """1, 0, or None where the outcome is missing; `skip` where it was never asked for."""
    verdict, adopts = row[f"verdict_{arm}"], row[f"adopts_{arm}"]
    if metric == "adopts_belief":
        if row["belief"] == "asserts_true":
            return "skip"
        return None if verdict > REFUSAL or adopts == UNDECIDED else int(adopts)
    if metric == "error_study" and row["task"] != "disinfo" and REFUSAL in (row["verdict_ref"], row["verdict_trt"]):
        return "skip"
    if verdict > REFUSAL:
        return None
    return int(verdict == (REFUSAL if metric == "refusal" else INCORRECT))


def _items(rows: Any, metric: Any, task: Any, contexts: Any, beliefs: Any) -> Any:
    """By item: pairs (reference, treated), None where missing."""
    found = {}
    for row in rows:
        if row["task"] == task and row["context"] in contexts and row["belief"] in beliefs:
            pair = (_outcome(row, metric, "ref"), _outcome(row, metric, "trt"))
            if "skip" not in pair:
                found.setdefault(row["item"], []).append((*pair, row["verdict_ref"], row["verdict_trt"]))
    return found


@pytest.mark.parametrize("metric", ["error", "error_study", "adopts_belief", "refusal"])
def test_lines_of_a_task_equal_plain_loops(columns: Any, rows: Any, metric: Any) -> None:
    made = columns(60, repeats=2)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    plain = rows(made)
    seen = 0
    for context, contexts in CONTEXT_CUTS.items():
        for belief, beliefs in BELIEF_CUTS.items():
            for task in ("core", "disinfo"):
                row = found.row(task, context, belief, metric)
                if metric == "adopts_belief" and belief == "all":
                    assert row is None
                    continue
                items = _items(plain, metric, task, contexts, beliefs)
                pairs = {item: [p for p in listed if None not in p[:2]] for item, listed in items.items()}
                pairs = {item: listed for item, listed in pairs.items() if listed}
                d = [np.mean([p[1] - p[0] for p in listed]) for listed in pairs.values()]
                flat = [p for listed in pairs.values() for p in listed]
                interval = paired_interval(d, len(flat) / len(d), 0.025)
                assert row.estimate == pytest.approx(np.mean(d), abs=1e-12)
                assert (row.lower, row.upper) == pytest.approx((interval.lower, interval.upper), abs=1e-12)
                assert row.standard_error == pytest.approx(np.std(d, ddof=1) / math.sqrt(len(d)), abs=1e-12)
                assert row.rate_trt - row.rate_ref == pytest.approx(row.estimate, abs=1e-12)
                ref = item_rate([np.mean([p[0] for p in listed]) for listed in pairs.values()], len(flat))
                assert (row.rate_ref, row.rate_ref_lower, row.rate_ref_upper) == pytest.approx(
                    (ref.value, ref.lower, ref.upper)
                )
                assert (row.n_items, row.n_pairs) == (len(d), len(flat))
                assert (row.worse, row.better) == (
                    sum(p[:2] == (0, 1) for p in flat),
                    sum(p[:2] == (1, 0) for p in flat),
                )
                assert row.k_discordant == sum(any(p[0] != p[1] for p in listed) for listed in pairs.values())
                assert row.discordance == pytest.approx((row.worse + row.better) / len(flat))
                asked = [p for listed in items.values() for p in listed]
                assert row.n_asked == len(asked)
                assert row.failed_ref == pytest.approx(sum(p[2] == FAILED for p in asked) / len(asked))
                answered = [p for p in asked if p[3] != FAILED]
                assert row.ungradable_trt == pytest.approx(sum(p[1] is None for p in answered) / len(answered))
                worst = np.mean(
                    [
                        np.mean([(1 if p[1] is None else p[1]) - (0 if p[0] is None else p[0]) for p in listed])
                        for listed in items.values()
                    ]
                )
                assert row.worst_upper == pytest.approx(worst, abs=1e-12)
                assert row.worst_lower <= row.worst_upper
                seen += 1
    assert seen > 20


def test_overall_is_the_mean_of_the_tasks(table: Any) -> None:
    found = compare("c", "v2", "v1", table(60))
    for context, belief in (("all", "all"), ("none", "no_belief"), ("any", "false_belief")):
        tasks = [found.row(task, context, belief) for task in ("core", "disinfo", "medqa")]
        row = found.row("overall", context, belief)
        assert row.estimate == pytest.approx(np.mean([task.estimate for task in tasks]), abs=1e-12)
        assert row.rate_trt == pytest.approx(np.mean([task.rate_trt for task in tasks]), abs=1e-12)
        together = math.sqrt(sum(task.standard_error**2 for task in tasks)) / 3
        assert row.standard_error == pytest.approx(together, abs=1e-12)
        assert row.lower < row.estimate < row.upper
        assert row.worse == sum(task.worse for task in tasks)
        assert row.n_pairs == sum(task.n_pairs for task in tasks)
        half = (row.rate_ref_upper - row.rate_ref_lower) / 2
        assert half < min((task.rate_ref_upper - task.rate_ref_lower) / 2 for task in tasks)


def test_with_one_task_overall_is_that_task(columns: Any) -> None:
    made = columns(40, task=["core"] * 400)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    for row in found.rows:
        if row.task == "overall":
            other = found.row("core", row.context, row.belief)
            assert (row.estimate, row.lower, row.upper, row.rho) == (
                other.estimate,
                other.lower,
                other.upper,
                other.rho,
            )
            assert row.rate_ref_lower == other.rate_ref_lower


def test_one_pair_per_item_gives_textbook_wilson() -> None:
    n = 50
    table = PairTable.build(
        item=[f"q{i}" for i in range(n)],
        task=["core"] * n,
        context=["none"] * n,
        belief=["none"] * n,
        verdict_ref=[INCORRECT] * 12 + [CORRECT] * 38,
        verdict_trt=[CORRECT] * n,
    )
    row = compare("c", "v2", "v1", table).row()
    expected = wilson(12 / 50, 50)
    assert (row.rate_ref_lower, row.rate_ref_upper) == pytest.approx((expected.lower, expected.upper), rel=1e-9)
    assert (row.rate_trt, row.rate_trt_lower) == (0.0, 0.0)
    assert row.rate_trt_upper == pytest.approx(wilson(0.0, 50).upper)
    assert (row.better, row.worse, row.rho) == (12, 0, None)


def test_an_item_without_a_false_answer_is_not_ungradable(columns: Any) -> None:
    made = columns(30, missing=0.0)
    without = [item in ("q000", "q001") for item in made["item"]]
    for arm in ("ref", "trt"):
        made[f"adopts_{arm}"] = np.where(without, UNDECIDED, made[f"adopts_{arm}"])
    row = compare("c", "v2", "v1", PairTable.build(**made)).row("overall", "all", "no_belief", "adopts_belief")
    assert row.ungradable_ref == row.ungradable_trt == 0.0
    assert row.n_items == 28


def test_the_studys_form_drops_refusals_but_in_disinfo(columns: Any) -> None:
    made = columns(30, missing=0.0)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    assert found.row("disinfo", metric="error_study").n_pairs == found.row("disinfo").n_pairs
    assert found.row("core", metric="error_study").n_pairs < found.row("core").n_pairs
    refused = np.isin(made["verdict_ref"], REFUSAL) | np.isin(made["verdict_trt"], REFUSAL)
    core = np.array(made["task"]) == "core"
    assert found.row("core", metric="error_study").n_pairs == int((core & ~refused).sum())


def test_ungradable_on_both_sides_is_missing_on_both_sides(columns: Any) -> None:
    made = columns(30, missing=0.0)
    made["verdict_ref"][:5] = made["verdict_trt"][:5] = UNGRADABLE
    row = compare("c", "v2", "v1", PairTable.build(**made)).row("core")
    assert row.n_asked - row.n_pairs == 5
    assert row.worst_upper - row.worst_lower == pytest.approx(2 * 5 / 10 / 10)
