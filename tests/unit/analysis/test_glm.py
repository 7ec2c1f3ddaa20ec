"""The logit GLM, its marginal effects and both kinds of standard error against statsmodels."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.analysis.glm import NoFitError, fit
from services.orchestrator.domain.statistics.pairs import INCORRECT, REFUSAL, PairTable

FALSE = ("asserts_false", "denies_true")


def _replies(plain: Any) -> Any:
    """One row per reply of pairs graded in both arms."""
    found = [
        {
            "item": f"{row['task']}/{row['item']}",
            "task": row["task"],
            "context": row["context"],
            "group": row["context"].split(":")[0],
            "belief": row["belief"],
            "false": int(row["belief"] in FALSE),
            "treated": treated,
            "length": row[f"length_{arm}"],
            "y": int(row[f"verdict_{arm}"] == INCORRECT),
        }
        for row in plain
        if max(row["verdict_ref"], row["verdict_trt"]) <= REFUSAL
        for treated, arm in enumerate(("ref", "trt"))
    ]
    return pd.DataFrame(found)


def _dummies(data: Any, factors: Any, interaction: Any = None) -> Any:
    """Intercept, treated, dummies (first level left out; `none` is the reference of contexts), treated x levels."""
    x = {"one": np.ones(len(data)), "treated": data["treated"].astype(float)}
    for factor in factors:
        levels = sorted(data[factor].unique(), key=lambda v: (v != "none", v))
        for level in levels[1:]:
            x[f"{factor}={level}"] = (data[factor] == level).astype(float)
            if factor == interaction:
                x[f"treated*{level}"] = data["treated"] * x[f"{factor}={level}"]
    return pd.DataFrame(x)


def _expected(data: Any, x: Any, rows: Any) -> Any:
    """AME over some rows with classical and clustered standard errors, by statsmodels and plain derivatives."""
    model = sm.GLM(data["y"], x, family=sm.families.Binomial())
    fits = [
        model.fit(tol=1e-14, maxiter=200),
        model.fit(
            tol=1e-14,
            maxiter=200,
            cov_type="cluster",
            cov_kwds={"groups": pd.factorize(data["item"])[0], "use_correction": False},
        ),
    ]
    sides = []
    for treated in (1.0, 0.0):
        changed = x.copy()
        for column in x.columns:
            if column.startswith("treated*"):
                changed[column] = treated * x[column.replace("treated*", f"{_factor(x, column)}=")]
        changed["treated"] = treated
        p = 1 / (1 + np.exp(-(changed @ fits[0].params)))
        sides.append((p[rows].mean(), (changed[rows].mul((p * (1 - p))[rows], axis=0)).mean()))
    gradient = (sides[0][1] - sides[1][1]).to_numpy()
    groups = data["item"].nunique()
    classical, clustered = (math.sqrt(gradient @ np.asarray(one.cov_params()) @ gradient) for one in fits)
    return sides[0][0] - sides[1][0], classical, clustered * math.sqrt(groups / (groups - 1))


def _factor(x: Any, column: Any) -> Any:
    level = column.removeprefix("treated*")
    return next(name.split("=")[0] for name in x.columns if name.endswith(f"={level}"))


@pytest.fixture(scope="module")
def both(columns: Any, rows: Any) -> Any:
    made = columns(90, seed=3)
    return compare("c", "v2", "v1", PairTable.build(**made)), _replies(rows(made))


def _check(found: Any, model: Any, level: Any, expected: Any) -> None:
    (ame,) = [one for one in found.ame if (one.model, one.level) == (model, level)]
    assert ame.value == pytest.approx(expected[0], abs=1e-8)
    assert ame.se_classical == pytest.approx(expected[1], abs=1e-8)
    assert ame.se_clustered == pytest.approx(expected[2], abs=1e-8)


def test_model_1(both: Any) -> None:
    found, data = both
    data = data[(data["context"] == "none") & data["belief"].isin(["none", "none_lead_in"])].reset_index(drop=True)
    x = _dummies(data, ["task"])
    _check(found, "plain", "all", _expected(data, x, np.ones(len(data), bool)))
    margins = sm.GLM(data["y"], x, family=sm.families.Binomial()).fit(tol=1e-14)
    plain = next(one for one in found.ame if one.model == "plain")
    moved = [margins.predict(x.assign(treated=value)).mean() for value in (1.0, 0.0)]
    assert plain.value == pytest.approx(moved[0] - moved[1], abs=1e-8)
    assert plain.n_replies == len(data)


def test_model_1_with_length(both: Any) -> None:
    found, data = both
    data = data[(data["context"] == "none") & data["belief"].isin(["none", "none_lead_in"])].reset_index(drop=True)
    x = _dummies(data, ["task"]).assign(length=data["length"] / 100.0)
    _check(found, "plain_length", "all", _expected(data, x, np.ones(len(data), bool)))
    (share,) = [one for one in found.length_shares if one.belief == "no_belief"]
    plain, lengthy = (next(a.value for a in found.ame if a.model == name) for name in ("plain", "plain_length"))
    assert (share.without_length, share.with_length) == pytest.approx((plain, lengthy), abs=1e-12)


@pytest.mark.parametrize(("model", "factor"), [("context_group", "group"), ("context", "context")])
def test_models_2_and_3(both: Any, model: Any, factor: Any) -> None:
    found, data = both
    data = data[data["belief"].isin(["none", "none_lead_in"])].reset_index(drop=True)
    x = _dummies(data, ["task", factor], factor)
    for level in data[factor].unique():
        _check(found, model, level, _expected(data, x, (data[factor] == level).to_numpy()))


def test_model_4(both: Any) -> None:
    found, data = both
    data = data[data["belief"] != "asserts_true"].reset_index(drop=True)
    x = _dummies(data, ["task", "group", "false"], "false")
    for level, value in (("no_belief", 0), ("false_belief", 1)):
        _check(found, "belief", level, _expected(data, x, (data["false"] == value).to_numpy()))


def test_the_effect_of_a_saturated_model_is_the_raw_difference(columns: Any) -> None:
    made = columns(80, task=["core"] * 800, missing=0.0)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    plain = next(one for one in found.ame if one.model == "plain")
    assert plain.value == pytest.approx(found.row("core", "none", "no_belief").estimate, abs=1e-12)
    assert plain.se_clustered == pytest.approx(found.row("core", "none", "no_belief").standard_error, abs=1e-12)
    for one in found.ame:
        if one.model == "context":
            assert one.value == pytest.approx(found.row("core", one.level, "no_belief").estimate, abs=1e-12)


@pytest.mark.parametrize(("errors", "why"), [([0.0, 0.0], "no errors"), ([3.0, 3.0], "nothing but errors")])
def test_one_outcome_has_no_fit(errors: Any, why: Any) -> None:
    with pytest.raises(NoFitError, match=why):
        fit(np.eye(2), np.array([3.0, 3.0]), np.array(errors))
    with pytest.raises(NoFitError, match="no graded replies"):
        fit(np.eye(2), np.zeros(2), np.zeros(2))


def test_a_separated_model_keeps_its_effect_and_has_no_standard_error(columns: Any) -> None:
    made = columns(60, task=["core"] * 600, missing=0.0)
    made["verdict_ref"] = np.zeros(600, dtype=int)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    plain = next(one for one in found.ame if one.model == "plain")
    assert plain.value == pytest.approx(found.row("core", "none", "no_belief").estimate, abs=1e-6)
    assert plain.se_classical is plain.se_clustered is None
    assert "no errors or only errors" in plain.note


def test_without_errors_there_is_a_note_and_no_effect(columns: Any) -> None:
    made = columns(20, missing=0.0)
    made["verdict_ref"] = made["verdict_trt"] = np.zeros(200, dtype=int)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    assert {one.value for one in found.ame} == {None}
    assert all("no errors at all" in one.note for one in found.ame)
