"""A judge's measured error and what it costs in the gate."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.calibration import LABELS, VERDICTS, Calibration, Labelled, calibrate

ROWS = st.lists(
    st.tuples(st.sampled_from(LABELS), st.sampled_from(VERDICTS), st.sampled_from(("", "v1", "v2"))),
    min_size=1,
    max_size=60,
)


def rows(label: str, verdict: str, count: int, arm: str = "") -> list[Labelled]:
    return [Labelled(label, verdict, arm)] * count


def test_a_worked_example_of_agreement_and_kappa() -> None:
    # 45 and 35 on the diagonal, 5 and 15 off it: agreement .80, chance .50, kappa .60.
    found = calibrate(
        rows("correct", "correct", 45)
        + rows("correct", "incorrect", 5)
        + rows("incorrect", "correct", 15)
        + rows("incorrect", "incorrect", 35)
    ).overall
    assert found.agreement.value == pytest.approx(0.80)
    assert found.error.value == pytest.approx(0.20)
    assert found.kappa.value == pytest.approx(0.60)
    assert found.confusion["incorrect"]["correct"] == 15
    # Standard error by the usual large-sample formula; with these margins .0796.
    assert (found.kappa.upper or 0) - (found.kappa.lower or 0) == pytest.approx(2 * 1.96 * 0.0796, abs=0.01)


def test_kappa_interval_covers_the_kappa_of_many_replies() -> None:
    generator = np.random.default_rng(5)
    table = np.array([[0.50, 0.06], [0.08, 0.36]])
    names = ("correct", "incorrect")
    chance = float(table.sum(1) @ table.sum(0))
    true = (float(np.trace(table)) - chance) / (1 - chance)
    hits = 0
    for _ in range(400):
        counts = generator.multinomial(250, table.ravel()).reshape(2, 2)
        found = calibrate(
            [Labelled(names[i], names[j]) for i in range(2) for j in range(2) for _ in range(counts[i, j])]
        ).overall.kappa
        assert found.lower is not None
        assert found.upper is not None
        hits += found.lower <= true <= found.upper
    assert 0.92 <= hits / 400 <= 0.98


def test_kappa_is_absent_where_only_one_class_occurs() -> None:
    assert calibrate(rows("correct", "correct", 30)).overall.kappa.value is None


def test_arms_are_measured_apart() -> None:
    found = calibrate(rows("correct", "correct", 8, "v1") + rows("incorrect", "correct", 2, "v2"))
    assert found.arms["v1"].error.value == 0
    assert found.arms["v2"].error.value == 1
    assert found.overall.n == 10


def test_a_bound_needs_two_hundred_labels_in_each_arm() -> None:
    few = calibrate(rows("correct", "correct", 200, "v1") + rows("correct", "correct", 199, "v2"))
    assert few.bias("v1", "v2") is None
    enough = calibrate(rows("correct", "correct", 200, "v1") + rows("correct", "correct", 200, "v2"))
    assert enough.bias("v1", "v2") is not None


def test_a_perfect_judge_costs_less_than_an_uncalibrated_one_but_not_nothing() -> None:
    found = calibrate(
        rows("correct", "correct", 150, "v1")
        + rows("incorrect", "incorrect", 50, "v1")
        + rows("correct", "correct", 150, "v2")
        + rows("incorrect", "incorrect", 50, "v2")
    ).bias("v1", "v2")
    assert found is not None
    assert 0.0 < found < 0.05


def test_leniency_towards_the_candidate_costs_and_severity_earns_nothing() -> None:
    lenient = calibrate(
        rows("incorrect", "incorrect", 200, "v1")
        + rows("incorrect", "incorrect", 180, "v2")
        + rows("incorrect", "correct", 20, "v2")
    )
    assert (lenient.bias("v1", "v2") or 0) > 0.10
    assert (lenient.bias("v2", "v1") or 0) < 0.02


def test_the_bound_also_watches_refusals() -> None:
    found = calibrate(
        rows("refusal", "refusal", 200, "v1")
        + rows("refusal", "refusal", 170, "v2")
        + rows("refusal", "correct", 30, "v2")
    )
    assert (found.bias("v1", "v2") or 0) > 0.15


def test_the_bound_holds_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    below = 0
    for _ in range(600):
        # Wrong replies called right: 4 % towards the baseline, 9 % towards the candidate; half of all replies are wrong.
        counts = {arm: generator.binomial(300, share) for arm, share in (("v1", 0.02), ("v2", 0.045))}
        found = calibrate(
            [
                row
                for arm, lenient in counts.items()
                for row in rows("incorrect", "correct", int(lenient), arm)
                + rows("correct", "correct", 300 - int(lenient), arm)
            ]
        )
        below += (found.bias("v1", "v2") or 0.0) < 0.025
    assert below / 600 <= 0.07


@given(ROWS)
def test_json_gives_the_same_calibration_back(labelled: list[tuple[str, str, str]]) -> None:
    found = calibrate(labelled)
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


@given(ROWS)
def test_shares_and_counts_are_consistent(labelled: list[tuple[str, str, str]]) -> None:
    found = calibrate(labelled).overall
    assert sum(sum(row.values()) for row in found.confusion.values()) == found.n == len(labelled)
    assert found.agreement.value + found.error.value == pytest.approx(1.0)
    if found.kappa.value is not None:
        assert -1.0 <= (found.kappa.lower or 0) <= found.kappa.value <= (found.kappa.upper or 0) <= 1.0


@pytest.mark.parametrize(("label", "verdict"), [("right", "correct"), ("correct", "yes")])
def test_unknown_words_are_named(label: str, verdict: str) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        calibrate([Labelled(label, verdict)])


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ValueError, match="no labelled"):
        calibrate([])
