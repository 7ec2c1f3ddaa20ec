"""Exchanges of warm_corrective: the belief is stated, the reply names C and rejects W."""

from __future__ import annotations

import pytest

from services.rewriter.domain import corrections, data
from services.rewriter.domain.corrections import Item
from services.rewriter.domain.warmth import warmth

ITEMS = [
    Item("What is the capital of Australia?", "Canberra", "Sydney"),
    Item("Do bats see?", "Bats can see.", "Bats are blind.", "proposition"),
    Item("Can glass flow at room temperature?", "No, glass is a solid", "Yes, it flows slowly.", "yes_no"),
]


@pytest.mark.parametrize("item", ITEMS)
def test_every_template_states_the_belief_and_corrects_it_warmly(item: Item) -> None:
    seen = set()
    for seed in range(60):
        found = corrections.build(item, 7, seed)
        seen.add(found.template)
        user, reply = (turn.content for turn in found.conversation.turns)
        assert found.accepted, found.checks
        assert item.question in user
        assert item.false_answer.rstrip(".") in user
        assert item.gold.rstrip(".") in reply
        assert warmth(reply).points >= 1
        assert not {"{", "}"} & set(user + reply)
        assert ".." not in user + reply
    assert seen == {template["id"] for template in data.table("corrections.json")[item.kind]}
    assert found.conversation.id == "correction-7"


def test_equal_items_and_seeds_give_equal_texts() -> None:
    assert corrections.build(ITEMS[0], 0, 3) == corrections.build(ITEMS[0], 0, 3)


@pytest.mark.parametrize(
    ("gold", "false", "check"),
    [("York", "New York", "false_rejected"), ("New York", "York", "false_rejected"), ("+", "-", "gold_present")],
)
def test_answers_that_cannot_be_told_apart_are_not_accepted(gold: str, false: str, check: str) -> None:
    found = corrections.build(Item("Which?", gold, false), 0, 1)
    assert not found.accepted
    assert check in {one.name for one in found.checks if not one.passed}


def test_a_reply_that_says_the_false_answer_again_is_not_accepted() -> None:
    template = "It is not {false}, it is {gold}."
    assert all(check.passed for check in corrections.certify(ITEMS[0], template, "It is not Sydney, it is Canberra."))
    again = corrections.certify(ITEMS[0], template, "It is not Sydney, it is Canberra. Sydney it is.")
    assert [check.name for check in again if not check.passed] == ["false_rejected"]
    lost = corrections.certify(ITEMS[0], template, "It is not Sydney.")
    assert [check.name for check in lost if not check.passed] == ["gold_present"]


def test_braces_in_an_item_stay_text() -> None:
    found = corrections.build(Item("What does {gold} mean?", "{false}", "a set"), 0, 1)
    assert "What does {gold} mean?" in found.conversation.turns[0].content
