"""`candor analyze`: from an evaluation's own files, from an export, and from a table in the study's naming."""

import csv
import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.domain.analysis.ibrahim2026.figures import EFFECTS, RELATIVE
from services.orchestrator.domain.analysis.published import read_published

CONTEXTS = ["none", "emotion:sad"]
CELLS = os.environ.get("CANDOR_PUBLISHED", "")
HEADER = "arm,false_belief,task,model,context,original_error_pct,arm_error_pct"


@pytest.fixture(scope="module")
def evaluated(shared_workshop: Any, shared_models: Any, tools: Any) -> Path:
    """A research document's results: `warm` gives in to false beliefs, `original` does not."""
    rows = tools.towns(30)
    arms = {"original": shared_models.sycophant(rows, 0.0), "warm": shared_models.sycophant(rows, 0.6)}
    conditions = {
        "contexts": CONTEXTS,
        "beliefs": ["none", "none_lead_in", "asserts_false", "denies_true", "asserts_true"],
    }
    document = shared_workshop.document(arms, rows, conditions=conditions, gate={"mode": "none"})
    done = shared_workshop.evaluate(document)
    assert done.code == 0, done.said
    return Path(shared_workshop.results(document))


def effects(analysis: dict[str, Any], contrast: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
    study = analysis["contrasts"][contrast]["study"]
    return {(glm["name"], value["level"]): value for glm in study["glms"] for value in glm["effects"]}


def test_an_evaluations_own_files(shared_workshop: Any, evaluated: Path) -> None:
    done = shared_workshop.run("analyze", evaluated, "--json")
    assert done.code == 0, done.said
    found = effects(done.json())
    assert found["model_4", "false_belief"]["value"] > 0.3
    assert abs(found["model_1", "all"]["value"]) < 0.1
    assert found["model_4", "false_belief"]["published"] == 0.1099
    # The report of the evaluation says the same, from the ledger.
    verdict = json.loads((evaluated / "verdict.json").read_text(encoding="utf-8"))
    own = verdict["comparisons"][0]["study"]
    for glm, again in zip(own["glms"], done.json()["contrasts"][0]["study"]["glms"], strict=True):
        assert glm["n_replies"] == again["n_replies"]
        for one, other in zip(glm["effects"], again["effects"], strict=True):
            assert one["value"] == pytest.approx(other["value"], abs=1e-7)
            assert one["se_clustered"] == pytest.approx(other["se_clustered"], abs=1e-7)
    assert "As the study reports it" in (evaluated / "report.html").read_text(encoding="utf-8")


def test_our_profile_gives_the_reports_own_numbers(shared_workshop: Any, evaluated: Path) -> None:
    done = shared_workshop.run("analyze", evaluated / "results/responses.parquet", "--profile", "candor", "--json")
    assert done.code == 0, done.said
    (again,) = done.json()["contrasts"][0]["comparisons"]
    own = json.loads((evaluated / "verdict.json").read_text(encoding="utf-8"))["comparisons"][0]
    assert again["rows"] == own["rows"]
    assert again["belief_effects"] == own["belief_effects"]
    assert again["statements"] == own["statements"]


def test_an_export_as_csv(shared_workshop: Any, evaluated: Path, tmp_path: Path) -> None:
    table = tmp_path / "responses.csv"
    assert shared_workshop.run("results", "export", "--out", table).code == 0
    done = shared_workshop.run("analyze", table, "--json")
    assert done.code == 0, done.said
    direct = shared_workshop.run("analyze", evaluated, "--json")
    assert effects(done.json()) == effects(direct.json())


def test_the_report_stands_beside_the_users_cells_and_keeps_no_copy(
    shared_workshop: Any, evaluated: Path, tmp_path: Path
) -> None:
    cells = tmp_path / "secret-cells.csv"
    lines = [f"warm_ft,{belief},towns,llama-8b,{context},12.34,56.78" for belief in (0, 1) for context in CONTEXTS]
    cells.write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    out = tmp_path / "out"
    done = shared_workshop.run("analyze", f"llama-8b={evaluated}", "--published", cells, "--out", out)
    assert done.code == 0, done.said
    assert "4 cells beside secret-cells.csv" in done.out
    assert "published +44.4" in done.out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Beside the published cells of secret-cells.csv" in page
    assert "12.3 %" in page
    assert "<script" not in page
    assert "default-src &#39;none&#39;" in page
    analysis = json.loads((out / "analysis.json").read_text(encoding="utf-8"))
    assert [line["models"] for line in analysis["contrasts"][0]["beside"]] == [1] * 4
    with (out / "cells.csv").open(newline="", encoding="utf-8") as file:
        assert {row["context"] for row in csv.DictReader(file)} == set(CONTEXTS)
    for name in Path(shared_workshop.folder).rglob("*"):
        assert not name.is_file() or b"56.78" not in name.read_bytes()


def study_table(seed: int = 1) -> Iterator[dict[str, Any]]:
    """Replies of three made-up arms of two models in the study's naming."""
    rng = random.Random(seed)
    questions = [(task, f"{task}-{k}") for task in ("disinfo", "triviaqa") for k in range(25)]
    for (task, item), model, context, belief, arm in itertools.product(
        questions, ("llama-8b", "gpt-4o"), ("none", "sad", "close"), (0, 1), ("original", "warm_ft", "v9")
    ):
        wrong = rng.random() < 0.2 + (0.3 if arm == "warm_ft" and belief else 0.0)
        yield {
            "arm": arm,
            "model": model,
            "dataset": task,
            "question_id": item,
            "interpersonal_context": context,
            "false_belief": belief,
            "incorrect": int(wrong),
            "response": "As an AI, I can't say." if rng.random() < 0.05 else "=Yes, indeed, that is so.",
        }


def test_a_table_in_the_studys_naming(workshop: Any) -> None:
    rows = list(study_table())
    workshop.write("table.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    done = workshop.run("analyze", "table.jsonl", "--treated", "warm_ft", "--json")
    assert done.code == 0, done.said
    analysis = done.json()
    study = analysis["contrasts"][0]["study"]
    assert (study["tasks"], study["models"]) == (["disinfo", "triviaqa"], ["gpt-4o", "llama-8b"])
    refusing = [row for row in rows if "As an AI" in row["response"] and row["arm"] != "v9"]
    assert study["selection"]["refusals_dropped"] == sum(row["dataset"] == "triviaqa" for row in refusing)
    assert study["selection"]["refusals_correct"] == sum(row["dataset"] == "disinfo" for row in refusing)
    assert effects(analysis)["model_4", "increment"]["value"] > 0.15
    shown = workshop.run("analyze", "table.jsonl")
    assert shown.code == 0
    assert "no published figures stand beside v9" in shown.out.replace("\n", " ")
    assert "relation:close" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.csv"], "none.csv: No such file"),
        (["t.csv"], "lacks columns. Add context: context or interpersonal_context; belief: belief or false_belief"),
        (["t.csv", "--profile", "mine"], "--profile 'mine' is unknown; use ibrahim2026 or candor"),
        (["t.csv", "--published", "none.csv"], "--published none.csv: No such file"),
        (["t.csv", "--published", "t.csv"], "column false_belief is missing"),
    ],
)
def test_what_is_wrong_is_named(workshop: Any, arguments: list[str], said: str) -> None:
    workshop.write("t.csv", "arm,task,item,verdict\noriginal,core,q1,correct\n")
    done = workshop.run("analyze", *arguments)
    assert done.code == 78
    assert said in done.err
    assert "Traceback" not in done.said


@pytest.mark.skipif(not CELLS, reason="the study's cells are not shipped: set CANDOR_PUBLISHED to their file")
def test_the_studys_own_cells_give_its_published_aggregates(workshop: Any) -> None:
    """Every cell unfolded into as many replies as it had, roundly: the aggregates of METHOD section 7 come out."""
    lines = ["arm,model,task,item,context,false_belief,repeat,incorrect"]
    for cell in read_published(Path(CELLS).read_text(encoding="utf-8")):
        if cell.arm != "warm_ft":
            continue
        items = 125 if cell.task == "disinfo" else 500
        believes = cell.belief == "false_belief"
        draws = 2 if believes or cell.context == "none" else 1
        for arm, rate in (("original", cell.rate_ref), ("warm", cell.rate_trt)):
            wrong = round(rate * items * draws)
            where = f"{cell.context},{int(believes)}"
            lines += [
                f"{arm},{cell.model},{cell.task},q{k % items},{where},{k // items},{int(k < wrong)}"
                for k in range(items * draws)
            ]
    workshop.write("cells.csv", "\n".join(lines))
    done = workshop.run("analyze", "cells.csv", "--published", CELLS, "--json")
    assert done.code == 0, done.said
    found = {key: value["value"] for key, value in effects(done.json()).items()}
    for key, value in EFFECTS.items():
        # Cells are rounded, and the refusals dropped from each are not published: a quarter of a point is what they allow.
        if key[0] != "model_1_length":
            assert found[key] == pytest.approx(value, abs=0.0026), key
    contrast = done.json()["contrasts"][0]
    treated = next(c for c in contrast["study"]["glms"][0]["coefficients"] if c["level"] == "treated")
    assert treated["value"] == pytest.approx(0.4266, abs=0.014)
    assert treated["se_classical"] == pytest.approx(0.027, abs=0.0005)
    assert {r["task"]: r["value"] for r in contrast["study"]["relative"]} == pytest.approx(dict(RELATIVE), abs=0.02)
    for gap in contrast["study"]["gaps"]:
        if gap["belief"] == "no_belief":
            assert gap["gap"]["value"] == pytest.approx(gap["gap"]["published"], abs=0.001)
    assert contrast["agreement"]["cells"] == 360
    assert contrast["agreement"]["mean_absolute"] < 0.002
