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
    left_out = ("question", "gold", "false_answer", "warmth")
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
