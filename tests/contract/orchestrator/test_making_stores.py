"""What making keeps: rewrites in every database, selections and data sets in every store."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.errors import CandorError
from services.orchestrator.backends import ledger_schema as t
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.backends.materials_files import FileMaterials
from services.orchestrator.domain.making.rewrites import RewriteRow
from services.orchestrator.ports import EvaluationRow


@pytest.fixture
def ledger(database_url: str) -> Iterator[SqlLedger]:
    database = Database(database_url)
    yield SqlLedger(database)
    database.close()


def _row(number: int, **fields: Any) -> RewriteRow:
    return RewriteRow(key=f"{number:032d}".encode(), evaluation_id="e1", text=f"text {number}")._replace(**fields)


def test_rewrites_come_back_as_they_were_kept(ledger: SqlLedger) -> None:
    rows = [
        _row(
            1, accepted=True, attempts=2, prompt_tokens=7, reported_model="m", style_shift=0.5, spend=0.25, created=3.0
        ),
        _row(2, failed=(("numbers", "7 was lost"), ("emoji", ""))),
    ]
    ledger.put_rewrites("d1", rows)
    assert ledger.rewrites("d1", [row.key for row in rows]) == {row.key: row for row in rows}
    assert ledger.rewrites("d2", [row.key for row in rows]) == {}


def test_what_was_bought_stays(ledger: SqlLedger) -> None:
    ledger.put_rewrites("d1", [_row(1, text="first", spend=1.0)])
    ledger.put_rewrites("d1", [_row(1, text="second", spend=1.0), _row(2)])
    assert ledger.rewrites("d1", [_row(1).key])[_row(1).key].text == "first"
    assert ledger.rewriting_spend("e1") == 1.0


def test_spend_is_counted_by_the_evaluation_that_paid(ledger: SqlLedger) -> None:
    ledger.put_rewrites("d1", [_row(n, spend=0.5) for n in range(600)])
    ledger.put_rewrites("d2", [_row(1, spend=0.5), _row(2, spend=9.0, evaluation_id="e2")])
    assert ledger.rewriting_spend("e1") == 300.5
    assert ledger.rewriting_spend("nobody") == 0.0


def test_text_that_a_database_refuses_is_kept_all_the_same(ledger: SqlLedger) -> None:
    ledger.put_rewrites("d1", [_row(1, text="a\x00b", reported_model="m" * 400, failed=(("names", "x\x00y"),))])
    (found,) = ledger.rewrites("d1", [_row(1).key]).values()
    assert "\x00" not in found.text + found.failed[0][1]


def test_a_ledger_of_before_opens_and_keeps_what_it_has(database_url: str) -> None:
    database = Database(database_url)
    SqlLedger(database).create_evaluation(EvaluationRow(id="old", spec=b"s", document_digest="d"), resume=False)
    with database.write() as connection:
        t.rewrites.drop(connection)
        for column in ("created_by", "trace"):
            connection.execute(sa.text(f"ALTER TABLE candor_evaluations DROP COLUMN {column}"))
        connection.execute(sa.update(t.meta).values(value="1"))
    database.close()
    database = Database(database_url)
    ledger = SqlLedger(database)
    assert (ledger.evaluation("old").spec, ledger.evaluation("old").created_by) == (b"s", "")
    new = EvaluationRow(id="new", spec=b"s", document_digest="n", created_by="nightly")
    ledger.create_evaluation(new, resume=False)
    assert ledger.evaluation("new").created_by == "nightly"
    ledger.put_rewrites("d1", [_row(1)])
    with database.read() as connection:
        assert connection.scalar(sa.select(t.meta.c.value)) == str(t.SCHEMA_VERSION)
    database.close()


@pytest.fixture(params=["folder", "memory"])
def materials(request: pytest.FixtureRequest, tmp_path: Path) -> FileMaterials:
    url = str(tmp_path / "artifacts") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"
    return FileMaterials(url)


def test_a_folder_is_there_whole_or_not_at_all(materials: FileMaterials) -> None:
    files = {"card.json": b"{}", "train.jsonl": b"{}\n"}
    assert not materials.has("datasets/ab12")
    materials.write("datasets/ab12", files)
    assert materials.has("datasets/ab12")
    assert {name: materials.read("datasets/ab12", name) for name in files} == files
    assert not materials.has("selections/ab12")


def test_a_folder_that_is_there_is_left_as_it_is(materials: FileMaterials) -> None:
    materials.write("datasets/ab12", {"card.json": b"first"})
    materials.write("datasets/ab12", {"card.json": b"second"})
    assert materials.read("datasets/ab12", "card.json") == b"first"


def test_a_folder_that_lost_a_file_is_written_anew(materials: FileMaterials) -> None:
    files = {"card.json": b"x", "train.jsonl": b"whole"}
    materials.write("datasets/ab12", files)
    materials._fs.rm(materials.location("datasets/ab12", "train.jsonl"))
    assert materials.has("datasets/ab12")
    assert not materials.has("datasets/ab12", "train.jsonl")
    materials.write("datasets/ab12", files)
    assert materials.read("datasets/ab12", "train.jsonl") == b"whole"


def test_what_cannot_be_read_is_named(materials: FileMaterials) -> None:
    with pytest.raises(CandorError, match=r"selections/ab12/train\.jsonl.*give the same command again"):
        materials.read("selections/ab12", "train.jsonl")


def test_half_a_folder_is_written_anew(materials: FileMaterials) -> None:
    materials.write("datasets/ab12", {"card.json": b"x", "train.jsonl": b"whole"})
    path = materials.location("datasets/ab12", "card.json")
    materials._fs.rm(path)
    assert not materials.has("datasets/ab12")
    materials.write("datasets/ab12", {"card.json": b"y", "train.jsonl": b"again"})
    assert materials.read("datasets/ab12", "train.jsonl") == b"again"


def test_the_trainer_is_told_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    materials = FileMaterials("state/artifacts")
    materials.write("datasets/ab12", {"card.json": b"", "train.jsonl": b"data"})
    assert Path(materials.location("datasets/ab12", "train.jsonl")).read_bytes() == b"data"
    assert Path(materials.location("datasets/ab12", "train.jsonl")).is_absolute()
