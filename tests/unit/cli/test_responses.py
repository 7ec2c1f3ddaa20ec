"""Files of graded replies as the command line reads them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from candor_cli import responses
from candor_cli.responses import named, read_source
from candor_cli.tables import write_rows
from chassis.errors import CandorError

ROWS = [
    {"arm": "original", "item": "q1", "verdict": "correct", "reply": "Paris.", "extra": "x"},
    {"arm": "warm", "item": "q1", "verdict": "incorrect", "reply": "I cannot say", "extra": "y"},
    {"arm": "warm", "item": "q2", "verdict": "correct", "reply": "", "extra": ""},
]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json", "parquet"])
def test_texts_leave_their_length_and_the_rule(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "_BATCH_ROWS", 2)
    path = tmp_path / f"t.{suffix}"
    write_rows(path, ROWS)
    found = read_source(str(path), lambda text: "cannot" in text)
    assert {name: list(values) for name, values in found.columns.items()} == {
        name: [row[name] for row in ROWS] for name in ("arm", "item", "verdict")
    }
    assert (found.lengths, found.refused) == ([6, 12, 0], [False, True, False])
    assert read_source(str(path), None).refused is None


def test_a_cell_that_is_absent_in_some_lines_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"arm": "a"}\n{"arm": "b", "verdict": "correct"}\n')
    assert read_source(str(path), None).columns["verdict"] == [None, "correct"]


def test_numbers_in_parquet_stay_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"arm": ["a"], "incorrect": [1], "notes": ["long"]}), path)
    assert read_source(str(path), None).columns == {"arm": ["a"], "incorrect": [1]}


@pytest.mark.parametrize(
    ("argument", "model", "path"),
    [
        ("llama-8b=a/b.csv", "llama-8b", "a/b.csv"),
        ("a/b.csv", "", "a/b.csv"),
        ("m=run=2/t.csv", "m", "run=2/t.csv"),
    ],
)
def test_a_model_may_stand_before_the_file(argument: str, model: str, path: str) -> None:
    assert named(argument) == (model, Path(path))


def test_a_file_with_an_equals_sign_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run=2.csv"
    path.write_text("arm\nx\n")
    assert named(str(path)) == ("", path)


def test_a_results_folder_stands_for_its_replies(tmp_path: Path) -> None:
    write_rows(tmp_path / "r" / "results" / "responses.parquet", ROWS)
    assert read_source(f"m={tmp_path / 'r'}", None).rows == 3
    with pytest.raises(CandorError, match="without results/responses"):
        read_source(str(tmp_path), None)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    with pytest.raises(CandorError, match="No such file"):
        read_source(str(path), None)
    path.write_bytes(b'PAR1 \xff\xfe "')
    with pytest.raises(CandorError) as caught:
        read_source(str(path), None)
    assert f"t.{suffix}" in str(caught.value)


def test_a_header_alone_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arm,verdict\n")
    with pytest.raises(CandorError, match="has no rows"):
        read_source(str(path), None)
