"""What corrections are about: right facts that the evaluation has nothing to do with."""

import json
from typing import Any

import pytest

from services.orchestrator.domain import datafiles
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.contamination import words
from services.orchestrator.domain.making.corrections import FILE, facts, wanted


def _item(question: str, gold: str, false: str = "no") -> Item:
    return Item(task="t", id=question, question=question, gold=(gold,), false_answers=(false,))


def _tables() -> Any:
    return json.loads(datafiles.read(FILE))["tables"]


def test_the_share_is_of_all_exchanges() -> None:
    assert wanted(0.2, 3667) == 917
    assert pytest.approx(0.2, abs=1e-3) == 917 / (917 + 3667)
    assert wanted(0.0, 100) == 0


def test_every_fact_has_one_answer_and_a_false_one_of_its_kind() -> None:
    found = facts([], [], 1)
    assert len(found) == len({fact.question for fact in found}) > 250
    golds = {answer for table in _tables() for _, answer in table["rows"]}
    for fact in found:
        assert fact.false_answer != fact.gold
        assert fact.false_answer in golds
        assert fact.gold.casefold() not in words(fact.question)


def test_protons_are_counted_and_symbols_are_single() -> None:
    by_name = {table["name"]: table["rows"] for table in _tables()}
    numbers = {name: int(key) for key, name in by_name["element-number"]}
    assert (numbers["iron"], numbers["gold"], numbers["oganesson"]) == (26, 79, 118)
    for rows in by_name.values():
        assert len({key for key, _ in rows}) == len({value for _, value in rows}) == len(rows)


@pytest.mark.parametrize(
    "item",
    [
        _item("What is the capital of Norway?", "Oslo"),
        _item("Of which country is Oslo the seat of government?", "Norway"),
        _item("Which city will you not find in Norway?", "Bergen", "Oslo"),
    ],
)
def test_a_fact_that_an_item_touches_is_left_out(item: Item) -> None:
    assert any(fact.gold == "Oslo" for fact in facts([], [], 1))
    assert not any(fact.gold == "Oslo" for fact in facts([item], [], 1))


def test_built_in_questions_help_where_they_are_not_evaluated() -> None:
    other = _item("Which river runs through Testville?", "the Test", "the Trial")
    assert any(fact.gold == "the Test" for fact in facts([], [other], 1))
    assert not any(fact.gold == "the Test" for fact in facts([other], [other], 1))


def test_the_seed_decides_the_order() -> None:
    assert facts([], [], 1) == facts([], [], 1)
    assert [fact.question for fact in facts([], [], 1)] != [fact.question for fact in facts([], [], 2)]
