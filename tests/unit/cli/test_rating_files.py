"""Sheets for raters and what comes back, from tables of every kind."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from candor_cli import rating_files
from candor_cli.main import invoke
from candor_cli.rating_files import Request, export_from, read_key, read_sheets
from candor_cli.tables import write_rows
from chassis.errors import CandorError
from services.orchestrator.domain.ratings.preferences import preferences
from services.orchestrator.domain.ratings.readback import read_back

ASKED = Request("", "", 10, 8, 1)


def rows(**more: Any) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "task": "t",
            "item": f"q{k}",
            "context": "none",
            "belief": "none",
            "repeat": 0,
            "prompt": f"Question {k}?",
            "reply": f"{arm} says {k}",
            "verdict": "correct",
            "decided_by": "deterministic",
            "question": f"Question {k}?",
            "gold": f"gold {k}",
            "aliases": [f"Gold  {k}", f"G{k}", "g0"],
            "false_aliases": [],
            "kind": "short_answer",
            "false_answer": "",
            # The warm arm is warmer by SocioT in seven of ten items.
            "warmth": (0.03 if k < 7 else 0.0) if arm == "warm" else 0.01,
            **more,
        }
        for k in range(10)
        for arm in ("original", "warm")
    ]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "responses.parquet"
    pq.write_table(pa.Table.from_pylist(rows()), path)
    return path


def judged(out: Path, key: Path, words: dict[str, str]) -> Any:
    """Fill in the sheet of pairs by which arm each rater prefers, and read it back."""
    found = read_key(key)
    first = {pair.id: pair.treated_first for pair in found.pairs}
    with (out / "pairs.csv").open(newline="", encoding="utf-8") as file:
        sheet = list(csv.DictReader(file))
    for rater, arm in words.items():
        filled = [{**row, "warmer": "A" if first[row["id"]] == (arm == "warm") else "B"} for row in sheet]
        write_rows(out / f"pairs-{rater}.csv", filled)
    return preferences(read_back(found, read_sheets([out / f"pairs-{rater}.csv" for rater in words])).judgements)


def test_agreement_with_sociot_follows_the_scores_of_the_table(table: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "out", tmp_path / "k.json"
    export_from(table, "here", ASKED, out, key)
    found = judged(out, key, {"ada": "warm", "bob": "warm", "cyd": "original"})
    assert (found.prefers_treated.value, found.prefers_treated.raters) == (pytest.approx(2 / 3), 3)
    assert found.pairs_with_sociot.value == pytest.approx(0.7)
    assert found.agrees_with_sociot.value == pytest.approx((2 * 7 + 3) / 30)
    assert found.raters_agree == pytest.approx(1 / 3)


def test_batches_do_not_matter(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_from(table, "here", ASKED, tmp_path / "one", tmp_path / "one.json")
    monkeypatch.setattr(rating_files, "_BATCH_ROWS", 3)
    export_from(table, "here", ASKED, tmp_path / "two", tmp_path / "two.json")
    for name in ("pairs.csv", "answers.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_an_export_without_the_right_answers_gives_pairs_only(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    left_out = ("question", "gold", "aliases", "false_answer", "false_aliases", "kind", "warmth")
    write_rows(path, [{name: cell for name, cell in row.items() if name not in left_out} for row in rows()])
    said = export_from(path, "here", ASKED, tmp_path / "out", tmp_path / "k.json")
    assert "no answers: the table has no columns question and gold" in said[-1]
    assert not (tmp_path / "out/answers.csv").exists()
    found = judged(tmp_path / "out", tmp_path / "k.json", {"ada": "warm"})
    assert found.prefers_treated.value == 1.0
    assert found.pairs_with_sociot is None


def test_failed_calls_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{**row, "reply": ""} if row["item"] == "q3" else row for row in rows()]), path)
    said = export_from(path, "here", ASKED, tmp_path / "out", tmp_path / "k.json")
    assert said[0].startswith("9 pairs")
    assert "there are no 10 pairs of different texts (0 pairs are alike)" in said


def test_nothing_to_draw_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist(rows(reply="")), path)
    with pytest.raises(CandorError, match="no reply of warm and original"):
        export_from(path, "here", ASKED, tmp_path / "out", tmp_path / "k.json")
    assert not (tmp_path / "k.json").exists()


@pytest.mark.parametrize(
    ("file", "rater"),
    [
        ("pairs-ada.csv", "ada"),
        ("ada-answers.csv", "ada"),
        ("bob/pairs.csv", "bob"),
        ("bob/answers.csv", "bob"),
        ("c.csv", "c"),
    ],
)
def test_a_rater_is_known_by_file_or_folder(tmp_path: Path, file: str, rater: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("id,warmer\np-1,A\n")
    (sheet,) = read_sheets([path])
    assert sheet.rater == rater


def test_one_rater_is_said_to_be_one(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, key = tmp_path / "out", tmp_path / "k.json"
    export_from(table, "here", ASKED, out, key)
    judged(out, key, {"ada": "warm"})
    assert invoke(["ratings", "import", str(out / "pairs-ada.csv"), "--key", str(key)]) == 0
    said = capsys.readouterr().out
    assert "10 judgements of 10 pairs by 1 rater" in said
    assert "one rater: the intervals are over pairs" in said
    assert "70.0 %" in said
    assert invoke(["ratings", "import", str(out / "pairs-ada.csv"), "--key", str(key), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warmth"]["prefers_treated"]["value"] == 1.0


def sheet(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_raters_see_every_accepted_answer_once(table: Path, tmp_path: Path) -> None:
    export_from(table, "here", ASKED, tmp_path / "out", tmp_path / "k.json")
    seen = {row["right_answer"]: row["also_right"] for row in sheet(tmp_path / "out/answers.csv")}
    assert {name: also for name, also in seen.items() if name != "gold 0"} == {
        f"gold {k}": f"G{k} | g0" for k in range(1, 10) if f"gold {k}" in seen
    }
    assert seen.get("gold 0", "G0") == "G0"


def test_a_table_without_aliases_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{k: v for k, v in row.items() if k != "aliases"} for row in rows()]), path)
    said = export_from(path, "here", ASKED, tmp_path / "out", tmp_path / "k.json")
    assert any("no column aliases" in line for line in said)
    assert {row["also_right"] for row in sheet(tmp_path / "out/answers.csv")} == {""}


def many(judged: int, decided: int = 0) -> pa.Table:
    """So many replies of each arm that a judge decided, and so many that rules did."""
    decisions = ["judge"] * judged + ["deterministic"] * decided
    return pa.Table.from_pylist(
        [
            {**row, "item": f"q{k}", "reply": f"{row['arm']} says {k}", "decided_by": decision}
            for k, decision in enumerate(decisions)
            for row in rows()[:2]
        ]
    )


@pytest.mark.parametrize(
    ("judged", "decided", "answers", "says"),
    [
        (300, 0, 500, "250 on the sheet, 50 to spare"),
        (300, 0, 400, "200 on the sheet, only 0 to spare; draw --answers 500"),
        (300, 0, 100, "50 on the sheet, too few; draw --answers 500"),
        (150, 300, 500, "150 on the sheet, too few; the evaluation has no more"),
        (0, 300, 500, "0 on the sheet, too few: rules decided the others; evaluate with a judge"),
    ],
)
def test_an_export_says_whether_a_calibration_can_come_of_it(
    tmp_path: Path, judged: int, decided: int, answers: int, says: str
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(many(judged, decided), path)
    said = export_from(path, "here", Request("", "", 0, answers, 1), tmp_path / "out", tmp_path / "k.json")
    assert any("takes 200 usable labels of each arm" in line for line in said)
    for arm in ("original", "warm"):
        assert any(line.strip().startswith(f"{arm}: {says}") for line in said), said


def test_an_import_says_how_many_labels_are_usable_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(many(300), path)
    out, key = tmp_path / "out", tmp_path / "k.json"
    export_from(path, "here", Request("", "", 0, 500, 1), out, key)
    arms = {one.id: one.arm for one in read_key(key).answers}
    order = {name: place for place, name in enumerate(sorted(arms, key=lambda name: (arms[name], name)))}
    # Of the first arm every fourth is unsure, of the second every tenth; the last 20 are not rated.
    filled = [
        {
            **row,
            "label": "unsure" if order[row["id"]] % (4 if arms[row["id"]] == "original" else 10) == 0 else "correct",
        }
        for row in sheet(out / "answers.csv")
    ]
    for row in filled:
        row["label"] = "" if order[row["id"]] >= 480 else row["label"]
    write_rows(out / "answers-ada.csv", filled)
    assert invoke(["ratings", "import", str(out / "answers-ada.csv"), "--key", str(key)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "original 187 usable of 250 rated: 13 more needed" in said
    assert "warm 207 usable of 230 rated: enough" in said
    assert "draw more: candor ratings export here --answers 536 --seed 1" in said
    assert invoke(["ratings", "import", str(out / "answers-ada.csv"), "--key", str(key), "--json"]) == 0
    labels = json.loads(capsys.readouterr().out)["labels"]
    assert (labels["needed_per_arm"], labels["usable"], labels["missing"]) == (
        200,
        {"original": 187, "warm": 207},
        {"original": 13, "warm": 0},
    )


def test_what_was_filled_in_goes_with_the_key_of_a_larger_draw(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(many(100), path)
    for name, answers in (("small", 40), ("large", 60)):
        export_from(path, "here", Request("", "", 5, answers, 1), tmp_path / name, tmp_path / f"{name}.json")
    small = sheet(tmp_path / "small/answers.csv")
    large = {one.id: one.reply for one in read_key(tmp_path / "large.json").answers}
    assert {row["id"]: row["reply"] for row in small}.items() <= large.items()
    assert len(large) == 60
