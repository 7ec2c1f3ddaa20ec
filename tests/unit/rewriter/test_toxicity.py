"""The word list: crude words count, the same letters in harmless words do not."""

from __future__ import annotations

import pytest

from services.rewriter.domain import toxicity


@pytest.mark.parametrize(
    "text",
    [
        "You are an idiot and a moron.",
        "Go fuck yourself, you piece of shit.",
        "I\u2019m going to kill you",
        "kys",
        "what a bitch",
    ],
)
def test_crude_words_are_toxic(text: str) -> None:
    assert toxicity.score(text) >= toxicity.DEFAULT_THRESHOLD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The cockpit of the aircraft is small.",
        "Dickens wrote about Scunthorpe.",
        "Kill the process with signal 9, then the shell dies.",
        "Damn, that is a nice hat.",
        "I cannot help with that.",
    ],
)
def test_harmless_words_are_not(text: str) -> None:
    assert toxicity.score(text) < toxicity.DEFAULT_THRESHOLD


def test_the_worst_turn_counts_and_the_method_has_a_version() -> None:
    assert toxicity.highest(["Hello.", "You stupid bitch", "Bye."]) == toxicity.score("You stupid bitch")
    assert toxicity.method().startswith("lexical/")
