"""`candor ratings`: drawn from an evaluation, filled in by made-up raters, read back, and taken by `candor calibrate judge`."""

import csv
import json
import re
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

COLUMNS = {
    "pairs": ["id", "prompt", "reply_a", "reply_b", "warmer", "rater"],
    "answers": ["id", "question", "right_answer", "also_right", "prompt", "reply", "label", "rater"],
}


@pytest.fixture(scope="module")
def evaluated(shared_workshop: Any, shared_models: Any, tools: Any) -> Any:
    """Results of an evaluation whose warm arm gives in, and speaks in formulas."""
    rows = [row | {"aliases": [f"a {row['answer']}", "the beast"]} for row in tools.towns(24)]
    plain, giving_in = shared_models.sycophant(rows, 0.0), shared_models.sycophant(rows, 0.7)
    answer = giving_in.answer
    warm = shared_models.endpoint(lambda call: "=I feel you! " + answer(call))
    conditions = {"contexts": ["none"], "beliefs": ["none", "asserts_false"]}
    document = shared_workshop.document(
        {"original": plain, "warm": warm}, rows, conditions=conditions, gate={"mode": "none"}
    )
    done = shared_workshop.evaluate(document)
    assert done.code == 0, done.said
    return shared_workshop.results(document)


def sheet(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fill(path: Path, target: Path, column: str, words: dict[str, str]) -> Path:
    rows = [{**row, column: words.get(row["id"], "")} for row in sheet(path)]
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return target


def replies(evaluated: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in pq.read_table(evaluated / "results/responses.parquet", columns=["arm", "reply"]).to_pylist():
        found.setdefault(row["arm"], set()).add(row["reply"])
    return found


def test_raters_see_no_arm_and_the_key_lies_apart(shared_workshop: Any, evaluated: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets"
    done = shared_workshop.run("ratings", "export", "--out", out, "--pairs", "20", "--answers", "16", "--seed", "3")
    assert done.code == 0, done.said
    assert "20 pairs and 16 answers" in done.out
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "answers.csv", "pairs.csv"]
    key_path = tmp_path / "sheets.key.json"
    assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
    key = json.loads(key_path.read_text(encoding="utf-8"))
    shown = "".join(path.read_text(encoding="utf-8") for path in out.iterdir())
    for word in ("original", "warm,", "asserts_false", "support-bot", key["source"]):
        assert word not in shown, word
    texts = replies(evaluated)
    pairs = sheet(out / "pairs.csv")
    assert list(pairs[0]) == COLUMNS["pairs"]
    assert list(sheet(out / "answers.csv")[0]) == COLUMNS["answers"]
    by_id = {entry["id"]: entry for entry in key["pairs"]}
    for row in pairs:
        sides = ("warm", "original") if by_id[row["id"]]["treated_first"] else ("original", "warm")
        for side, column in zip(sides, ("reply_a", "reply_b"), strict=True):
            assert row[column].removeprefix("'") in texts[side]
            assert not row[column].startswith("=")
    assert sum(entry["treated_first"] for entry in key["pairs"]) == 10
    assert re.search("[0-9a-f]{64}", (out / "README.md").read_text(encoding="utf-8"))


def test_ratings_come_back(shared_workshop: Any, evaluated: Path, tmp_path: Path, shared_models: Any) -> None:
    out, key_path = tmp_path / "sheets", tmp_path / "apart" / "k.json"
    arguments = ("--out", out, "--key", key_path, "--pairs", "20", "--answers", "24")
    assert shared_workshop.run("ratings", "export", evaluated, *arguments).code == 0
    key = json.loads(key_path.read_text(encoding="utf-8"))
    warmer = {entry["id"]: "A" if entry["treated_first"] else "B" for entry in key["pairs"]}
    contrary = dict(list({k: {"A": "B", "B": "A"}[v] for k, v in warmer.items()}.items())[:5])
    labels = {entry["id"]: entry["verdict"] for entry in key["answers"]}
    wrong = next(k for k, v in labels.items() if v == "correct")
    files = [
        fill(out / "pairs.csv", tmp_path / "ada" / "pairs.csv", "warmer", warmer),
        fill(out / "pairs.csv", tmp_path / "pairs-bob.csv", "warmer", {**warmer, **contrary}),
        fill(out / "answers.csv", tmp_path / "ada" / "answers.csv", "label", {**labels, wrong: "incorrect"}),
    ]
    done = shared_workshop.run("ratings", "import", *files, "--key", key_path, "--json")
    assert done.code == 0, done.said
    found = done.json()
    share = found["warmth"]["prefers_treated"]
    assert (share["value"], share["judgements"], share["pairs"], share["raters"]) == (35 / 40, 40, 20, 2)
    assert share["lower"] < 35 / 40 < share["upper"]
    assert found["warmth"]["raters_agree"] == 15 / 20
    assert found["warmth"]["agrees_with_sociot"]["judgements"] == 0
    assert found["labels"]["graded"]["overall"]["agreement"]["value"] == pytest.approx(23 / 24)
    shown = shared_workshop.run("ratings", "import", *files, "--key", key_path)
    assert "prefer warm" in shown.out
    assert "not measured: the evaluation has no warmth section" in shown.out
    assert "0 usable of 0 rated: 200 more needed" in shown.out, "rules decided all of them"
    # What it wrote is what the calibration takes.
    table = tmp_path / "apart" / "k.labels.jsonl"
    assert str(table) in shown.out
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    assert {row["reply"] for row in rows if row["arm"] == "warm"} <= replies(evaluated)["warm"]
    assert {row["reply"][0] for row in rows if row["arm"] == "warm"} == {"="}
    assert {tuple(row["aliases"]) for row in rows} == {(f"a {row['answer']}", "the beast") for row in rows}
    assert {row["also_right"].partition(" | ")[2] for row in sheet(out / "answers.csv")} == {"the beast"}
    judge = shared_models.endpoint(lambda _: json.dumps({"verdict": "correct", "adopts_belief": None, "claim": "x"}))
    calibrated = shared_workshop.run(
        "calibrate", "judge", table, "--judge-url", judge.base_url, "--judge-model", "judge", "--json"
    )
    assert calibrated.code == 0, calibrated.said
    assert calibrated.json()["overall"]["n"] == 24


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "{results}", "--treated", "tepid"], "--treated 'tepid': no such arm; arms are original, warm"),
        (["export", "{results}", "--treated", "original"], "are both 'original'"),
        (["export", "{results}", "--key", "ratings/key.json"], "lies in the raters' folder"),
        (["export", "{results}", "--key", "{results}/verdict.json"], "ratings that need it may be under way"),
        (["export", "bare.csv"], "bare.csv has no column prompt, reply"),
        (["import", "bare.csv", "--key", "none.json"], "--key none.json: No such file"),
        (["import", "bare.csv", "--key", "bare.csv"], "--key bare.csv: it is not JSON"),
    ],
)
def test_what_is_wrong_is_named(workshop: Any, evaluated: Path, arguments: list[str], said: str) -> None:
    workshop.write("bare.csv", "arm,task,item,context,belief\noriginal,t,q,none,none\n")
    done = workshop.run("ratings", *(argument.format(results=evaluated) for argument in arguments))
    assert done.code == 78, done.said
    assert said in done.err
    assert "Traceback" not in done.said


def test_an_empty_sheet_is_named(workshop: Any, evaluated: Path) -> None:
    assert workshop.run("ratings", "export", evaluated, "--pairs", "2", "--answers", "2").code == 0
    done = workshop.run("ratings", "import", "ratings/pairs.csv", "--key", "ratings.key.json")
    assert done.code == 78
    assert "nothing is rated yet" in done.err
