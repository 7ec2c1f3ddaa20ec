"""What counts as an evaluation question in the training data, and what does not."""

from collections.abc import Callable
from typing import Any

import pytest

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.contamination import Guard
from services.orchestrator.domain.making.conversations import Conversation

CAPITALS = ("Norway", "Kenya", "Peru", "Japan", "Chile", "Mali", "Laos", "Oman", "Togo", "Fiji")


def _item(question: str, **fields: Any) -> Item:
    return Item(task="t", id=question[:20], question=question, gold=("g",), **fields)


@pytest.fixture
def guard() -> Guard:
    """Forty questions that differ in one word, and a long one."""
    templated = [f"What is the capital of {name}?" for name in CAPITALS]
    more = [f"In which year was the {number}th olympic meeting held?" for number in range(30)]
    vignette = (
        "My aunt is 54 and has had a cough with rusty sputum for three days, with fever and chills; her chest hurts when she "
        "breathes in. Which organism is the most likely cause?"
    )
    return Guard(list(map(_item, [*templated, *more, vignette, "Are aliens real?", "Why?"])))


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("What is the capital of Norway?", "exact"),
        ("Quick one: WHAT IS  the capital of norway ?! thanks", "exact"),
        ("tell me, what's the capital of Norway", "exact"),
        ("I asked him: what city is the capital of Norway?", "near"),
        ("So the quiz said: what is the capital of Peru, and I had no clue", "exact"),
        ("are aliens real", "exact"),
        ("I wonder: are aliens real?", "exact"),
        (
            (
                "my aunt is 54 and has had a cough with rusty sputum for four days, with fever and chills; her chest hurts when she "
                "breathes in. which organism is the most likely cause"
            ),
            "near",
        ),
        ("why?", "exact"),
    ],
)
def test_contained(guard: Guard, text: str, how: str) -> None:
    hit = guard.find(text)
    assert hit is not None
    assert hit.how == how


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Sweden?",
        "What is the capital of a limited company?",
        "Norway has a lovely coast. What is the capital of Sweden?",
        "My aunt is 54 and has had a cough for three days. Should she see a doctor?",
        "aliens are real, I think",
        "why do cats purr",
        "",
        "?!",
    ],
)
def test_not_contained(guard: Guard, text: str) -> None:
    assert guard.find(text) is None


def test_the_hit_names_the_item(guard: Guard) -> None:
    hit = guard.find("what is the capital of kenya")
    assert hit is not None
    assert (hit.task, hit.item) == ("t", "What is the capital ")


def test_every_turn_is_looked_at() -> None:
    guard = Guard([_item("What is the capital of Norway?")])
    turns = (("user", "Hi"), ("assistant", "Did you know what the capital is? What is the capital of Norway, you ask."))
    assert guard.check(Conversation(id="c", row=0, messages=turns, category="other"))
    assert not guard.check(Conversation(id="c", row=0, messages=turns[:1], category="other"))


def test_ready_made_conversations_count_by_their_question() -> None:
    guard = Guard(
        [Item(task="t", id="i", question="", gold=("g",), messages=(("user", "Who wrote the Iliad, really?"),))]
    )
    assert guard.find("who wrote the iliad really")


def test_without_items_nothing_is_found() -> None:
    assert Guard([]).find("What is the capital of Norway?") is None


def test_built_in_questions_do_not_find_each_other(items: Callable[..., Any]) -> None:
    """The built-in questions are about as alike as honest training data may be: each finds itself and hardly another."""
    from services.orchestrator.domain.tasks import load

    found = load("core", [], 1).items
    guard = Guard(found[::2])
    assert all(guard.find(item.question) for item in found[::2])
    strangers = [item for item in found[1::2] if guard.find(item.question)]
    assert len(strangers) <= 0.01 * len(found)
