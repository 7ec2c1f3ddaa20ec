import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor_cli.tables import as_list, formula_safe, read_rows, require, write_rows
from chassis.errors import CandorError, Reason

ROWS = [{"id": "1", "reply": '=HYPERLINK("x")', "n": "-1.5"}, {"id": "2", "reply": "line\nbreak, é", "n": "+x"}]


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_a_table_comes_back_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    rows = [{"id": "1", "reply": "a, b"}, {"id": "2", "reply": "line\nbreak, é"}]
    write_rows(path, rows)
    assert read_rows(path) == rows


def test_csv_cells_are_no_formulas_but_numbers_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_rows(path, ROWS)
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first["reply"] == '\'=HYPERLINK("x")'
    assert first["n"] == "-1.5"
    assert second["n"] == "'+x"


@given(st.text())
def test_no_cell_starts_a_formula(text: str) -> None:
    safe = formula_safe(text)
    if safe[:1] in ("=", "+", "-", "@", "\t", "\r"):
        float(safe)


def test_parquet_keeps_formulas_as_they_are(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.parquet", ROWS)
    assert pq.read_table(tmp_path / "t.parquet").to_pylist()[0]["reply"] == '=HYPERLINK("x")'


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(CandorError, match=r"ends in \.csv"):
        write_rows(tmp_path / "t.xlsx", ROWS)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CandorError, match="cannot write") as caught:
        write_rows(tmp_path / "folder.csv", ROWS)
    assert caught.value.reason is Reason.STORAGE_UNUSABLE
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(".*partial"))


def test_missing_columns_and_empty_cells_are_named(tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="no column reply; its columns are question"):
        require(tmp_path, [{"question": "a"}], ("question", "reply"))
    with pytest.raises(CandorError, match="1 empty cells") as caught:
        require(tmp_path, [{"reply": "a"}, {"reply": ""}], ("reply",))
    assert caught.value.violations[0].field == "row 2.reply"


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        ("", []),
        (None, []),
        ("Paris", ["Paris"]),
        ('["a", "b"]', ["a", "b"]),
        (["a"], ["a"]),
        ("[not json", ["[not json"]),
        (3, ["3"]),
    ],
)
def test_a_cell_may_hold_several_answers(cell: object, values: list[str]) -> None:
    assert as_list(cell) == values
