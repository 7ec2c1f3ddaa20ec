"""The study's profile: row selection, refusal rule and models against statsmodels' formulas on simulated replies."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from patsy import dmatrices, dmatrix
from scipy.stats import binomtest, false_discovery_control

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.analysis.ibrahim2026 import figures
from services.orchestrator.domain.analysis.ibrahim2026.profile import study, study_of_pairs
from services.orchestrator.domain.analysis.replies import Replies
from services.orchestrator.domain.conditions import BELIEFS
from services.orchestrator.domain.statistics.pairs import (
    FAILED,
    INCORRECT,
    REFUSAL,
    UNDECIDED,
    UNGRADABLE,
    Factor,
    PairTable,
)

TASKS = ("disinfo", "medqa", "triviaqa")
MODELS = ("gpt-4o", "llama-70b", "qwen-32b")
CONTEXTS = ("none", "emotion:happy", "emotion:sad", "relation:up", "stakes:low")
FALSE = ("asserts_false", "denies_true")


def simulated(items: int = 20, seed: int = 4, models: tuple[str, ...] = MODELS) -> pd.DataFrame:
    """Replies with an item effect shared by models and cells, so that clustering matters."""
    rng = np.random.default_rng(seed)
    keys = [
        (arm, model, task, f"q{i:02d}", context, belief)
        for arm in ("original", "warm", "cold")
        for model in models
        for task in TASKS
        for i in range(items)
        for context in CONTEXTS
        for belief in BELIEFS
    ]
    data = pd.DataFrame(keys, columns=["arm", "model", "task", "item", "context", "belief"])
    hard = {(task, f"q{i:02d}"): rng.normal(0, 1.2) for task in TASKS for i in range(items)}
    linear = -1.6 + np.array([hard[pair] for pair in zip(data["task"], data["item"], strict=True)])
    linear += 0.5 * (data["model"] == "qwen-32b") + 0.4 * (data["task"] == "medqa")
    linear += data["belief"].isin(FALSE) * (0.6 + 0.5 * (data["arm"] == "warm"))
    linear += (data["arm"] == "warm") * (0.4 + 0.6 * (data["context"] == "emotion:sad"))
    data["verdict"] = np.where(rng.random(len(data)) < 1 / (1 + np.exp(-linear)), INCORRECT, 0)
    kind = rng.random(len(data))
    data.loc[kind < 0.04, "verdict"] = REFUSAL
    data.loc[kind > 0.98, "verdict"] = UNGRADABLE
    data.loc[kind > 0.99, "verdict"] = FAILED
    data["length"] = rng.integers(100, 1400, len(data))
    return data


def replies(data: pd.DataFrame) -> Replies:
    n = len(data)
    names = ("arm", "model", "task", "item", "context", "belief")
    return Replies(
        **{name: Factor.encode(data[name].tolist()) for name in names},
        cluster=Factor.encode(data["cluster"].tolist() if "cluster" in data else [""] * n),
        statement=Factor.encode([""] * n),
        repeat=np.zeros(n, dtype=np.int64),
        verdict=data["verdict"].to_numpy(dtype=np.int8),
        adopts=np.full(n, UNDECIDED, dtype=np.int8),
        judged=np.zeros(n, dtype=bool),
        length=data["length"].to_numpy(dtype=np.int64),
        warmth=np.full(n, np.nan),
    )


def selected(data: pd.DataFrame) -> pd.DataFrame:
    """The study's rows of warm against original, said once more in pandas."""
    data = data[data["arm"].isin(["original", "warm"]) & (data["belief"] != "asserts_true")]
    data = data[~((data["context"] != "none") & (data["belief"] == "none_lead_in"))]
    data = data[data["verdict"] <= REFUSAL]
    data = data[(data["verdict"] != REFUSAL) | (data["task"] == "disinfo")]
    return data.assign(
        y=(data["verdict"] == INCORRECT).astype(int),
        treated=(data["arm"] == "warm").astype(int),
        false=data["belief"].isin(FALSE).astype(int),
        group=data["context"].str.split(":").str[0],
    ).reset_index(drop=True)


def expected(data: pd.DataFrame, formula: str, level: Any) -> Any:
    """Coefficient of the treatment and AMEs by level, each with both errors, by statsmodels and numeric gradients."""
    y, x = dmatrices(formula, data, return_type="dataframe")
    groups = pd.factorize(data["task"] + "/" + data["item"])[0]
    glm = sm.GLM(y, x, family=sm.families.Binomial())
    fits = [
        glm.fit(tol=1e-14, maxiter=200),
        glm.fit(tol=1e-14, maxiter=200, cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}),
    ]
    scale = len(set(groups)) / (len(set(groups)) - 1)
    covariances = [np.asarray(fits[0].cov_params()), np.asarray(fits[1].cov_params()) * scale]
    parameters = np.asarray(fits[0].params)

    def both(values: Any, gradient: Any) -> Any:
        return (values, *(math.sqrt(gradient @ covariance @ gradient) for covariance in covariances))

    found = {}
    for name in sorted(set(level)):
        rows = data[level == name]
        sides = []
        for treated in (1, 0):
            z = np.asarray(dmatrix(x.design_info, rows.assign(treated=treated)))
            p = 1 / (1 + np.exp(-z @ parameters))
            sides.append((p.mean(), (z * (p * (1 - p))[:, np.newaxis]).mean(axis=0)))
        found[name] = (sides[0][0] - sides[1][0], sides[0][1] - sides[1][1])
    at = list(x.columns).index("treated")
    unit = np.eye(parameters.size)[at]
    return both(parameters[at], unit), {name: both(*one) for name, one in found.items()}, found, both


BASE = "y ~ treated + C(task, Treatment('disinfo')) + C(model, Treatment('llama-70b'))"
CONTEXT = "treated * C({}, Treatment('none'))"


def check(values: Any, wanted: Any) -> None:
    assert {one.level for one in values} == set(wanted)
    for one in values:
        assert (one.value, one.se_classical, one.se_clustered) == pytest.approx(wanted[one.level], abs=1e-8)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return simulated()


@pytest.fixture(scope="module")
def found(data: pd.DataFrame) -> Any:
    return study(replies(data), "warm", "original")


@pytest.fixture(scope="module")
def rows(data: pd.DataFrame) -> pd.DataFrame:
    return selected(data)


def model(found: Any, name: str) -> Any:
    return next(one for one in found.glms if one.name == name)


def coefficient(one: Any, name: str = "treated") -> Any:
    value = next(value for value in one.coefficients if value.level == name)
    return value.value, value.se_classical, value.se_clustered


def test_model_1_is_the_formula_on_plain_rows(found: Any, rows: pd.DataFrame) -> None:
    plain = rows[(rows["context"] == "none") & (rows["false"] == 0)]
    treated, effects, _, _ = expected(plain, BASE, pd.Series("all", plain.index))
    one = model(found, "model_1")
    assert coefficient(one) == pytest.approx(treated, abs=1e-8)
    check(one.effects, effects)
    assert (one.n_replies, one.n_items) == (len(plain), plain.groupby(["task", "item"]).ngroups)
    assert one.effects[0].se_clustered != pytest.approx(one.effects[0].se_classical, rel=0.05)


def test_model_1_with_reply_length(found: Any, rows: pd.DataFrame) -> None:
    plain = rows[(rows["context"] == "none") & (rows["false"] == 0)]
    treated, effects, _, _ = expected(
        plain.assign(length=plain["length"] / 1000), BASE + " + length", pd.Series("all", plain.index)
    )
    one = model(found, "model_1_length")
    assert coefficient(one) == pytest.approx(treated, abs=1e-8)
    check(one.effects, effects)


@pytest.mark.parametrize(("name", "column"), [("model_2", "group"), ("model_3", "context")])
def test_models_2_and_3_look_at_rows_without_a_belief(found: Any, rows: pd.DataFrame, name: str, column: str) -> None:
    unbelieving = rows[rows["false"] == 0]
    _, effects, _, _ = expected(unbelieving, f"{BASE} + {CONTEXT.format(column)}", unbelieving[column])
    one = model(found, name)
    check(one.effects, effects)
    assert one.n_replies == len(unbelieving)


def test_model_4_and_the_increment(found: Any, rows: pd.DataFrame) -> None:
    formula = f"{BASE} + C(group, Treatment('none')) + treated * false"
    level = rows["false"].map({0: "no_belief", 1: "false_belief"})
    _, effects, raw, both = expected(rows, formula, level)
    with_belief, without = raw["false_belief"], raw["no_belief"]
    effects["increment"] = both(with_belief[0] - without[0], with_belief[1] - without[1])
    one = model(found, "model_4")
    check(one.effects, effects)
    assert one.n_replies == len(rows)


def test_the_row_selection_is_counted(found: Any, data: pd.DataFrame, rows: pd.DataFrame) -> None:
    two = data[data["arm"].isin(["original", "warm"])]
    right = two["belief"] == "asserts_true"
    lead = (two["context"] != "none") & (two["belief"] == "none_lead_in")
    rest = two[~right & ~lead]
    refused = rest["verdict"] == REFUSAL
    counts = found.selection
    assert counts.replies == len(rows)
    assert counts.refusals_dropped == int((refused & (rest["task"] != "disinfo")).sum()) > 0
    assert counts.refusals_correct == int((refused & (rest["task"] == "disinfo")).sum()) > 0
    assert counts.ungraded == int((rest["verdict"] > REFUSAL).sum()) > 0
    assert (counts.user_right, counts.lead_in, counts.controls) == (int(right.sum()), int(lead.sum()), 0)
    assert len(two) == sum(
        getattr(counts, name)
        for name in ("replies", "refusals_dropped", "ungraded", "user_right", "lead_in", "controls")
    )


def test_reference_levels_are_the_studys(found: Any) -> None:
    assert (found.tasks[0], found.models[0], found.contexts[0]) == ("disinfo", "llama-70b", "none")
    names = {value.level for value in model(found, "model_1").coefficients}
    assert names == {"intercept", "treated", "task=medqa", "task=triviaqa", "model=gpt-4o", "model=qwen-32b"}


def test_absent_reference_levels_are_named(data: pd.DataFrame) -> None:
    part = data[(data["task"] != "disinfo") & (data["model"] != "llama-70b")]
    said = " ".join(study(replies(part), "warm", "original").notes)
    assert "level of task, disinfo, is absent; medqa" in said
    assert "level of model, llama-70b, is absent; gpt-4o" in said


def test_refusals_in_disinfo_are_right_and_elsewhere_gone(data: pd.DataFrame) -> None:
    refusing = data.assign(verdict=np.where(data["arm"] == "warm", REFUSAL, data["verdict"]))
    found = study(replies(refusing), "warm", "original")
    assert {cell.rate_trt for cell in found.cells if cell.task == "disinfo"} == {0.0}
    assert {cell.rate_trt for cell in found.cells if cell.task != "disinfo"} == {None}


def test_controls_are_left_out(data: pd.DataFrame, found: Any) -> None:
    control = data[data["task"] == "medqa"].assign(task="gsm8k")
    more = study(replies(pd.concat([data, control])), "warm", "original")
    assert more.selection.controls == len(control[control["arm"] != "cold"])
    assert more.glms == found.glms


def test_a_lead_in_that_is_the_only_level_stays(data: pd.DataFrame) -> None:
    part = data[(data["context"] == "none") | (data["belief"] != "none")]
    found = study(replies(part), "warm", "original")
    assert found.selection.lead_in == 0
    assert {level.level for level in model(found, "model_2").effects} == {"none", "emotion", "relation", "stakes"}


def test_cells_have_the_rates_and_the_tests_of_their_pairs(found: Any, rows: pd.DataFrame) -> None:
    part = rows[(rows["model"] == "gpt-4o") & (rows["task"] == "medqa") & (rows["false"] == 1)]
    family = [c for c in found.cells if (c.model, c.task, c.belief) == ("gpt-4o", "medqa", "false_belief")]
    assert [cell.context for cell in family] == list(CONTEXTS)
    tests = []
    for cell in family:
        here = part[part["context"] == cell.context]
        sides = [here[here["treated"] == t].set_index(["item", "belief"])["y"] for t in (0, 1)]
        assert (cell.rate_ref, cell.rate_trt) == pytest.approx((sides[0].mean(), sides[1].mean()))
        assert (cell.replies_ref, cell.replies_trt) == (len(sides[0]), len(sides[1]))
        pairs = pd.concat(sides, axis=1, join="inner").to_numpy()
        worse, better = int((pairs @ [-1, 1] == 1).sum()), int((pairs @ [1, -1] == 1).sum())
        assert (cell.worse, cell.better) == (worse, better)
        tests.append(binomtest(worse, worse + better).pvalue if worse + better else 1.0)
        assert cell.p == pytest.approx(tests[-1])
    assert [cell.p_adjusted for cell in family] == pytest.approx(false_discovery_control(tests))


def test_relative_changes_weigh_models_equally(found: Any, rows: pd.DataFrame) -> None:
    plain = rows[(rows["context"] == "none") & (rows["false"] == 0)]
    rates = plain.groupby(["task", "treated", "model"])["y"].mean().groupby(["task", "treated"]).mean()
    wanted = rates.xs(1, level="treated") / rates.xs(0, level="treated") - 1
    assert {one.task: one.value for one in found.relative if one.task != "overall"} == pytest.approx(wanted.to_dict())
    assert found.relative[0].task == "overall"
    assert found.relative[0].value == pytest.approx(wanted.mean())


def test_gaps_by_model_are_means_over_tasks_with_clustered_errors(found: Any, rows: pd.DataFrame) -> None:
    part = rows[(rows["model"] == "qwen-32b") & (rows["false"] == 1)]
    gaps, variances = [], []
    for _, here in part.groupby("task"):
        fitted = smf.ols("y ~ treated", here).fit(
            cov_type="cluster", cov_kwds={"groups": pd.factorize(here["item"])[0], "use_correction": False}
        )
        groups = here["item"].nunique()
        gaps.append(fitted.params["treated"])
        variances.append(fitted.bse["treated"] ** 2 * groups / (groups - 1))
    (one,) = [gap for gap in found.gaps if (gap.model, gap.belief) == ("qwen-32b", "false_belief")]
    assert one.gap.value == pytest.approx(np.mean(gaps))
    assert one.gap.se_clustered == pytest.approx(math.sqrt(sum(variances)) / len(gaps))
    assert one.rate_trt - one.rate_ref == pytest.approx(one.gap.value)


def test_clusters_of_items_are_the_units(data: pd.DataFrame) -> None:
    grouped = data.assign(cluster="c" + data["item"].str[1:].astype(int).floordiv(4).astype(str))
    found = study(replies(grouped), "warm", "original")
    assert model(found, "model_1").n_items == 5


def test_the_published_figures_stand_beside_warm_and_nothing_beside_others(data: pd.DataFrame, found: Any) -> None:
    one = model(found, "model_1")
    assert (one.effects[0].published, one.published_replies) == (0.0743, 32_145)
    assert next(value.published for value in one.coefficients if value.level == "treated") == 0.4266
    sad = next(value for value in model(found, "model_3").effects if value.level == "emotion:sad")
    assert sad.published == 0.1187
    assert {g.model: g.gap.published for g in found.gaps if g.belief == "no_belief"} == {
        "gpt-4o": 0.041,
        "llama-70b": 0.048,
        "qwen-32b": 0.097,
    }
    cold = study(replies(data), "cold", "original")
    assert {value.published for one in cold.glms for value in one.effects} == {None}
    assert {g.gap.published for g in cold.gaps} == {None}, (
        "published are means over all contexts, which is none of the rows"
    )
    assert "published" not in " ".join(study(replies(data.replace({"arm": {"warm": "v2"}})), "v2", "original").notes)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-8b"),
        ("Llama-3.1-70B-Instruct", "llama-70b"),
        ("mistralai/Mistral-Small-Instruct-2409", "mistral-small"),
        ("Qwen/Qwen2.5-32B-Instruct", "qwen-32b"),
        ("Qwen2.5-32B-Instruct", "qwen-32b"),
        ("llama-8b", "llama-8b"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini", ""),
        ("Qwen2.5-7B-Instruct", ""),
        ("", ""),
    ],
)
def test_models_are_known_by_the_names_they_are_served_under(name: str, model: str) -> None:
    assert figures.published_model(name) == model


def test_the_studys_design_has_the_studys_rows() -> None:
    """5 models, 1,625 items, 2 arms: what METHOD section 5 lays out is its N before refusals, which are under 4 %."""
    keys = [
        (arm, model, task, f"q{i}", context, belief)
        for arm in ("original", "warm")
        for model in figures.MODELS
        for task in figures.TASKS
        for i in range(5 if task == "disinfo" else 20)
        for context in CONTEXTS
        for belief in BELIEFS[:4]
    ]
    data = pd.DataFrame(keys, columns=["arm", "model", "task", "item", "context", "belief"])
    rng = np.random.default_rng(1)
    data = data.assign(verdict=(rng.random(len(data)) < 0.3).astype(int), length=0)
    found = study(replies(data), "warm", "original")
    scale = 1625 / 65
    whole = {
        # Of the study's eight contexts four are here.
        "model_1": scale * model(found, "model_1").n_replies,
        "model_2": scale * (2 * model(found, "model_2").n_replies - model(found, "model_1").n_replies),
    }
    assert whole == {"model_1": 32_500, "model_2": 162_500}
    for name, count in whole.items():
        assert 0.96 < figures.REPLIES[name] / count < 1.0


def test_the_report_carries_it_for_every_contrast(columns: Any) -> None:
    made = columns(60, task=[("core", "disinfo", "medqa")[i // 10 % 3] for i in range(600)])
    table = PairTable.build(**made)
    found = compare("c", "warm", "original", table).study
    assert found == study_of_pairs(table, "warm")
    assert found.published_arm == "warm_ft"
    assert [one.name for one in found.glms] == ["model_1", "model_1_length", "model_2", "model_3", "model_4"]
    swapped = study_of_pairs(PairTable.build(**{**made, **_swapped(made)}), "warm")
    for left, right in zip(found.glms, swapped.glms, strict=True):
        for one, other in zip(left.effects, right.effects, strict=True):
            assert one.value == pytest.approx(-other.value, abs=1e-9)


def _swapped(made: dict[str, Any]) -> dict[str, Any]:
    other = {"_ref": "_trt", "_trt": "_ref"}
    return {name: made[name[:-4] + other[name[-4:]]] for name in made if name[-4:] in other}


@pytest.mark.parametrize("verdict", [0, INCORRECT, REFUSAL, FAILED])
def test_replies_of_one_kind_give_notes_and_no_crash(data: pd.DataFrame, verdict: int) -> None:
    found = study(replies(data.assign(verdict=verdict)), "warm", "original")
    assert all(one.effects == () and one.note for one in found.glms)


def test_what_one_arm_alone_was_asked_is_left_out(data: pd.DataFrame, found: Any) -> None:
    extra = data[(data["arm"] == "original") & (data["model"] == "gpt-4o")]
    more = pd.concat([data, extra.assign(model="mistral-small"), extra.assign(task="truthfulqa")])
    wider = study(replies(more), "warm", "original")
    assert (wider.glms, wider.cells, wider.gaps) == (found.glms, found.cells, found.gaps)
    assert f"{2 * len(extra):,} replies are of a model and task" in wider.notes[0]


def test_without_a_common_question_there_is_nothing(data: pd.DataFrame) -> None:
    alone = study(replies(data[data["arm"] == "warm"]), "warm", "original")
    assert (alone.glms, alone.cells) == ((), ())
    assert "no reply is left" in " ".join(alone.notes)


def test_confounded_factors_have_effects_without_errors(data: pd.DataFrame) -> None:
    pairs = dict(zip(TASKS, MODELS, strict=True))
    part = data[data["model"] == data["task"].map(pairs)]
    one = model(study(replies(part), "warm", "original"), "model_1")
    assert "cannot be told apart" in one.note
    assert one.effects[0].value is not None
    assert one.effects[0].se_classical is None
