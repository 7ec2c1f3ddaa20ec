"""Published cells beside ours, and our GLM on the study's own cells where that file is at hand."""

import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.analysis.glm import effect, fit
from services.orchestrator.domain.analysis.published import COLUMNS, agreement, beside, read_published

HEADER = ",".join(COLUMNS)
TEXT = f"""{HEADER}
warm_ft,0,core,a,none,10,20
warm_ft,0,core,b,none,30,50
warm_ft,1,medqa,a,emotion:sad,40,60.5
cold_ft,0,core,a,none,1,2
warm_ft,0,gone,a,none,0,100
"""
FILE = os.environ.get("CANDOR_PUBLISHED", "")
at_hand = pytest.mark.skipif(not FILE, reason="the study's cells are not shipped: set CANDOR_PUBLISHED to their file")


def test_published_means_stand_beside_ours(table: Any) -> None:
    found = compare("c", "v2", "v1", table(60)).study
    lines = beside(found, read_published(TEXT), "warm_ft")
    assert [(line.task, line.models) for line in lines] == [("core", 2), ("medqa", 1), ("gone", 1)]
    assert (lines[0].published_ref, lines[0].published_trt) == pytest.approx((0.2, 0.35))
    (cell,) = [c for c in found.cells if (c.task, c.context, c.belief) == ("core", "none", "no_belief")]
    assert (lines[0].own_ref, lines[0].own_trt) == (cell.rate_ref, cell.rate_trt)
    assert lines[0].difference == pytest.approx(cell.rate_trt - cell.rate_ref - 0.15)
    assert lines[1].published_trt == pytest.approx(0.605)
    assert (lines[2].own_ref, lines[2].own_trt, lines[2].difference) == (None, None, None)


def test_a_model_that_the_file_has_stands_beside_itself(table: Any) -> None:
    text = TEXT.replace(",a,", ",qwen-32b,").replace(",b,", ",gpt-4o,")
    found = replace(compare("c", "v2", "v1", table(60)).study, models=("openai/gpt-4o-2024-08-06",), cells=())
    assert [line.published_ref for line in beside(found, read_published(text), "warm_ft")] == pytest.approx([0.3])


def test_agreement_is_of_the_cells_that_both_have(table: Any) -> None:
    found = compare("c", "v2", "v1", table(60)).study
    lines = beside(found, read_published(TEXT), "warm_ft")
    summary = agreement(lines)
    assert summary.cells == 2
    both = lines[:2]
    assert summary.published_gap == pytest.approx(np.mean([line.published_trt - line.published_ref for line in both]))
    assert summary.own_gap == pytest.approx(np.mean([line.own_trt - line.own_ref for line in both]))
    assert summary.mean_absolute == pytest.approx(np.mean([abs(line.difference) for line in both]))
    assert summary.correlation is None
    assert agreement(lines[2:]) is None
    own = [
        f"warm_ft,{int(c.belief == 'false_belief')},{c.task},a,{c.context},{100 * c.rate_ref},{100 * c.rate_trt}"
        for c in found.cells
    ]
    same = agreement(beside(found, read_published("\n".join([HEADER, *own])), "warm_ft"))
    assert (same.mean_absolute, same.correlation) == pytest.approx((0.0, 1.0))
    assert same.cells == len(found.cells)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arm,task\nx,y\n", "column false_belief is missing"),
        (f"{HEADER}\nw,2,t,m,none,1,1\n", "line 2: false_belief is '2'"),
        (f"{HEADER}\nw,0,t,m,none,1,1\nw,0,t,m,none,101,1\n", "line 3: original_error_pct is '101'"),
        (f"{HEADER}\nw,0,t,m,none,1,nan\n", "arm_error_pct is 'nan'"),
        (f"{HEADER}\nw,0,t\n", "original_error_pct is None"),
        ("", "column arm is missing"),
    ],
)
def test_bad_files_are_named(text: Any, message: Any) -> None:
    with pytest.raises(ValueError, match=message):
        read_published(text)


def _weight(cell: Any) -> float:
    """Replies of each arm: 500 items (disinfo 125); plain cells pool none and none_lead_in, beliefs two forms."""
    doubled = cell.context == "none" or cell.belief == "false_belief"
    return (125 if cell.task == "disinfo" else 500) * (2 if doubled else 1)


def _effects(cells: Any, factors: Any, level: Any) -> Any:
    """AME in percentage points by level: treated x level plus main effects of the factors."""
    levels = sorted({level(cell) for cell in cells})
    columns = [np.ones(len(cells))]
    for factor in factors:
        names = sorted({factor(cell) for cell in cells})[1:]
        columns.extend(np.array([factor(cell) == name for cell in cells], dtype=float) for name in names)
    main = np.column_stack(columns)
    which = np.array([[level(cell) == name for name in levels] for cell in cells], dtype=float)
    on = np.column_stack([main, which[:, 1:], np.ones(len(cells)), which[:, 1:]])
    off = np.column_stack([main, which[:, 1:], np.zeros(len(cells)), np.zeros_like(which[:, 1:])])
    weights = np.array([_weight(cell) for cell in cells], dtype=float)
    bad = [weights * np.array([getattr(cell, name) for cell in cells]) for name in ("rate_ref", "rate_trt")]
    found = fit(np.vstack([off, on]), np.concatenate([weights, weights]), np.concatenate(bad))
    return {
        name: 100 * effect(found, on, off, weights * which[:, index]).value for index, name in enumerate(levels)
    }, found


def _task(cell: Any) -> Any:
    return cell.task


def _model(cell: Any) -> Any:
    return cell.model


def _group(cell: Any) -> Any:
    return cell.context.split(":")[0]


@at_hand
def test_our_glm_on_the_published_cells_gives_the_published_effects() -> None:
    cells = [cell for cell in read_published(Path(FILE).read_text(encoding="utf-8")) if cell.arm == "warm_ft"]
    plain = [cell for cell in cells if cell.belief == "no_belief"]
    # The cells are rounded and the refusals dropped from each are not published: a quarter of a point is what they allow.
    near = 0.26
    model_1, found = _effects([cell for cell in plain if cell.context == "none"], (_task, _model), lambda _: "all")
    assert model_1["all"] == pytest.approx(7.43, abs=near)
    assert np.sqrt(np.diag(found.covariance))[-1] == pytest.approx(0.027, abs=0.0005)
    model_2, _ = _effects(plain, (_task, _model), _group)
    assert model_2 == pytest.approx({"none": 7.43, "emotion": 8.87, "relation": 6.55, "stakes": 7.42}, abs=near)
    model_3, _ = _effects(plain, (_task, _model), lambda cell: cell.context)
    assert model_3 == pytest.approx(
        {
            "none": 7.43,
            "emotion:happy": 6.93,
            "emotion:anger": 7.86,
            "emotion:sad": 11.87,
            "stakes:high": 7.45,
            "stakes:low": 7.31,
            "relation:close": 6.92,
            "relation:down": 7.51,
            "relation:up": 5.24,
        },
        abs=near,
    )
    model_4, _ = _effects(cells, (_task, _model, _group), lambda cell: cell.belief)
    assert model_4 == pytest.approx({"no_belief": 7.60, "false_belief": 10.99}, abs=near)


@at_hand
def test_the_published_relative_changes() -> None:
    sums = defaultdict(lambda: [0.0, 0.0])
    for cell in read_published(Path(FILE).read_text(encoding="utf-8")):
        if (cell.arm, cell.belief, cell.context) == ("warm_ft", "no_belief", "none"):
            sums[cell.task][0] += cell.rate_ref
            sums[cell.task][1] += cell.rate_trt
    found = {task: 100 * (trt / ref - 1) for task, (ref, trt) in sums.items()}
    assert found == pytest.approx({"triviaqa": 33.4, "truthfulqa": 38.8, "disinfo": 144.2, "medqa": 24.8}, abs=2.0)
    assert np.mean(list(found.values())) == pytest.approx(60.3, abs=0.5)
