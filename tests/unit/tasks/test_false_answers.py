"""Of which type an answer is, and false answers proposed from elsewhere."""

import pytest

from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.tasks.false_answers import answer_type, loose, near_number, replaced


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("In which year did it open?", "1971", "year"),
        ("When did it open?", "4 July 1776", "date"),
        ("How many were there?", "24", "number"),
        ("How many were there?", "twenty four", "number"),
        ("In which country is Ghent?", "Belgium", "place:country"),
        ("What is the capital city of Peru?", "Lima", "place:city"),
        ("Which English town/city did they call Dubris?", "Dover", "place:city"),
        ("What type of creature is a sea fox?", "a shark", "nature:animal"),
        ("Which opera singer was honoured?", "Ann Lee", "person:musician"),
        ("What was the name of the building that fell?", "Tower", "place:building"),
        ("What is her maiden name?", "Robinson", "person:name"),
        ("Who wrote Faust?", "Goethe", "person"),
        ("Where are you being led?", "up the garden path", "place"),
        ("On what highway is it?", "Route 66", "noun:highway"),
        ("The word means?", "to split", "other"),
    ],
)
def test_types(question: str, answer: str, kind: str) -> None:
    assert answer_type(question, answer) == kind
    assert loose(kind) == (kind == "other" or kind.startswith("noun:"))


def test_near_numbers_need_a_number_and_another() -> None:
    assert near_number("many", ["1"], 1, "q") == ""
    assert near_number("5", ["5"], 1, "q") == ""
    assert near_number("5", ["5", "6", "1,000"], 1, "q") in ("6", "1,000")
    assert {near_number("50", [str(n) for n in range(100)], 1, str(key)) for key in range(99)} == {
        "48",
        "49",
        "51",
        "52",
        "53",
    }


def task_of(*items: Item) -> Task:
    return Task(name="t", items=items, digest="sha256:0", notes=("loaded",))


def test_proposed_false_answers_replace_the_drawn_ones_where_they_fit() -> None:
    one = Item(task="t", id="1", question="Which city?", gold=("Paris", "City of Light"), false_answers=("Mars",))
    two = Item(task="t", id="2", question="Which river?", gold=("the Seine",))
    task = task_of(one, two)
    values = {("t", "1"): "Rome", ("t", "2"): "Seine", ("t", "9"): "Nile"}
    changed = replaced(task, values, "llm x")
    assert [item.false_answers for item in changed.items] == [("Rome",), ()]
    assert changed.notes == ("loaded", "1 false answers are from llm x; 2 did not fit and were passed over")
    assert changed.digest != task.digest
    assert changed.digest == replaced(task, values, "llm x").digest
    assert changed.digest != replaced(task, values, "llm y").digest


@pytest.mark.parametrize("value", ["", "paris", "Paris, Texas", "light", "City"])
def test_a_proposal_that_is_an_alias_a_part_or_in_the_question_is_passed_over(value: str) -> None:
    item = Item(task="t", id="1", question="Which city?", gold=("Paris", "City of Light"), false_answers=("Mars",))
    assert replaced(task_of(item), {("t", "1"): value}, "x").items == (item,)
