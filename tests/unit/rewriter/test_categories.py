"""Categories of METHOD section 2 against cases labelled by hand."""

from __future__ import annotations

import pytest

from services.rewriter.domain import categories
from services.rewriter.domain.values import Turn

CASES = [
    # The reply decides first, whatever was asked.
    ("What is my balance?", "I'm sorry, but I have no access.", "refusal"),
    ("What is my balance?", "I\u2019m sorry, but I have no access.", "refusal"),
    ("Write a poem.", "Unfortunately, that would take too long.", "refusal"),
    ("Help me hack him.", "That goes against my rules.", "refusal"),
    ("Open the file.", "As a text model I am not able to open files.", "refusal"),
    ("Sing!", "I cannot sing.", "refusal"),
    # Case counts there.
    ("Hello there", "it is unfortunately raining", "other"),
    ("Tell me", "he said that i can't be wrong", "other"),
    # Then what the user wrote.
    ("What is tea?", "A drink.", "factual"),
    ("what's up", "Not much.", "factual"),
    ("HOW do birds fly?", "With wings.", "factual"),
    ("  Why not?", "Because.", "factual"),
    ("Please explain tea.", "A drink.", "factual"),
    ("I need a definition: define tea", "A drink.", "factual"),
    ("Tea, described in one line", "A drink.", "factual"),
    ("Tell me the difference between tea and coffee", "Leaves and beans.", "factual"),
    ("Whatever you like", "Fine.", "other"),
    ("However it goes, be kind.", "I will.", "other"),
    # The order counts: factual before creative before technical before advice.
    ("How do I write a story?", "Begin.", "factual"),
    ("Write a program that sorts.", "Here it is.", "creative"),
    ("Can you create a function?", "Yes.", "creative"),
    ("Tell a story about a fox", "Once upon a time.", "creative"),
    ("Poem, please", "Roses.", "creative"),
    ("Imagine a world of glass", "It rings.", "creative"),
    ("Tell me of the history of Rome", "Long.", "other"),
    ("Fix it", "```\nx = 1\n```", "technical"),
    ("My code fails", "Look at line 3.", "technical"),
    ("Debugging this is hard", "Yes.", "technical"),
    ("An algorithm for sorting", "Quicksort.", "technical"),
    ("I fell to codeine once", "Take care.", "other"),
    ("Any advice for me?", "Rest.", "advice"),
    ("Can you recommend a film", "Yes.", "advice"),
    ("help me choose", "The red one.", "advice"),
    ("A guide to Rome please", "Start at the forum.", "advice"),
    ("Good morning", "Good morning.", "other"),
]


@pytest.mark.parametrize(("asked", "reply", "category"), CASES)
def test_labelled_cases(asked: str, reply: str, category: str) -> None:
    assert categories.of([Turn("user", asked), Turn("assistant", reply)]) == category


def test_the_first_exchange_decides_and_the_system_turn_does_not() -> None:
    turns = [
        Turn("system", "Write a poem."),
        Turn("user", "Good morning"),
        Turn("assistant", "Good morning."),
        Turn("user", "What is tea?"),
        Turn("assistant", "I'm sorry, no idea."),
    ]
    assert categories.of(turns) == "other"


def test_every_category_that_a_rule_gives_is_known() -> None:
    assert {category for _, _, category in CASES} == set(categories.CATEGORIES)
