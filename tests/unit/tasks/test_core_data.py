"""The rules that the built-in questions keep; what is true of the world was checked by hand, by two readers."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "services" / "orchestrator" / "data" / "tasks" / "core"
CATEGORIES = ("trivia", "misconceptions", "disinformation", "medicine")
KEYS = [
    "id",
    "category",
    "topic",
    "kind",
    "question",
    "answer",
    "aliases",
    "false_answer",
    "difficulty",
    "source",
]
KINDS = {"short_answer", "proposition", "yes_no", "number"}
# Words that open a friendly reply; as a bare answer they would be found in replies that do not give it.
CHATTER = {"love", "so", "well", "sure", "right", "ok", "okay", "oh", "hey", "dear", "top", "us", "one", "it"}

Row = dict[str, Any]


@cache
def rows(category: str) -> tuple[Row, ...]:
    lines = (FOLDER / f"{category}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


@cache
def every_row() -> tuple[Row, ...]:
    return tuple(row for category in CATEGORIES for row in rows(category))


def words(text: str) -> str:
    """Small letters without accents, punctuation or a leading article, one space between words and at both ends."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"[^\w]+", " ", plain.replace("'", "").replace("’", "")).strip()
    return f" {re.sub(r'^(a|an|the) ', '', plain)} "


def forms(row: Row) -> list[str]:
    return [row["answer"], *row["aliases"]]


def texts(row: Row) -> Iterator[str]:
    for value in row.values():
        yield from value if isinstance(value, list) else [value]


def share(part: int, whole: int) -> float:
    return part / whole


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_family_has_at_least_200_questions_numbered_in_order(category: str) -> None:
    found = rows(category)
    assert len(found) >= 200
    assert [row["id"] for row in found] == [f"core-{category}-{n:03d}" for n in range(1, len(found) + 1)]
    assert {row["category"] for row in found} == {category}


def test_there_is_no_file_beside_the_four() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{category}.jsonl" for category in CATEGORIES}


def test_every_row_has_the_same_columns_with_text_in_them() -> None:
    bad = [
        row["id"]
        for row in every_row()
        if list(row) != KEYS
        or not isinstance(row["aliases"], list)
        or not all(isinstance(text, str) and text for text in texts(row))
    ]
    assert not bad


def test_kinds_are_known() -> None:
    assert {row["kind"] for row in every_row()} <= KINDS


def test_no_question_is_asked_twice() -> None:
    counts = Counter(words(row["question"]) for row in every_row())
    assert not [question for question, count in counts.items() if count > 1]


def test_text_is_clean() -> None:
    bad = [
        (row["id"], text)
        for row in every_row()
        for text in texts(row)
        if text != text.strip() or re.search(r"\s\s|[\t\n\u00a0\u200b\ufeff]", text)
    ]
    assert not bad


def test_questions_end_in_one_question_mark_and_answers_in_no_stop() -> None:
    # A belief sentence puts its own full stop behind the answer.
    assert not [row["id"] for row in every_row() if not re.search(r"[^?.!]\?$", row["question"])]
    assert not [
        row["id"] for row in every_row() for text in (row["answer"], row["false_answer"]) if re.search(r"[?!]$", text)
    ]


def test_the_false_answer_shares_no_accepted_form() -> None:
    clashes = [
        (row["id"], form, row["false_answer"])
        for row in every_row()
        for form in forms(row)
        if words(form) in words(row["false_answer"]) or words(row["false_answer"]) in words(form)
    ]
    assert not clashes


def given_away(row: Row, answers: list[str]) -> list[tuple[str, str]]:
    question = words(row["question"])
    return [(row["id"], answer) for answer in answers if words(answer) in question]


def test_no_accepted_form_stands_in_the_question() -> None:
    assert not [hit for row in every_row() for hit in given_away(row, forms(row))]


def test_no_false_answer_stands_in_the_question_where_the_trap_is_not_a_name() -> None:
    # Some misconceptions live in a name: a Panama hat, the October Revolution, a gold medal.
    rest = (row for row in every_row() if row["category"] != "misconceptions")
    assert not [hit for row in rest for hit in given_away(row, [row["false_answer"]])]


def test_no_alias_repeats_another_form_letter_by_letter() -> None:
    assert not [row["id"] for row in every_row() if len(set(forms(row))) < len(forms(row))]


def test_no_answer_is_a_word_of_friendly_chatter() -> None:
    bad = [
        (row["id"], form)
        for row in every_row()
        for form in [*forms(row), row["false_answer"]]
        if words(form).strip() in CHATTER
    ]
    assert not bad


def test_yes_no_questions_have_yes_or_no_and_the_other_as_false_answer() -> None:
    pairs = {(row["answer"], row["false_answer"]) for row in every_row() if row["kind"] == "yes_no"}
    assert pairs == {("yes", "no"), ("no", "yes")}
    assert not [row["id"] for row in every_row() if row["kind"] == "yes_no" and row["aliases"]]
    assert not [
        row["id"] for row in every_row() if row["kind"] != "yes_no" and {"yes", "no"} & set(map(str.lower, forms(row)))
    ]


@pytest.mark.parametrize("category", CATEGORIES)
def test_neither_naysayers_nor_yea_sayers_look_good_in_a_family(category: str) -> None:
    golds = [row["answer"] for row in rows(category) if row["kind"] == "yes_no"]
    assert 0.4 <= share(golds.count("yes"), len(golds)) <= 0.6


def test_neither_naysayers_nor_yea_sayers_look_good_over_all() -> None:
    golds = [row["answer"] for row in every_row() if row["kind"] == "yes_no"]
    assert len(golds) >= 200
    assert 0.4 <= share(golds.count("yes"), len(golds)) <= 0.6


@pytest.mark.parametrize("category", CATEGORIES)
def test_difficulties_are_about_a_third_each(category: str) -> None:
    found = rows(category)
    counts = Counter(row["difficulty"] for row in found)
    assert set(counts) == {"easy", "medium", "hard"}
    assert all(0.28 <= share(count, len(found)) <= 0.38 for count in counts.values())


def test_numbers_are_answered_by_numbers() -> None:
    bad = [
        row["id"]
        for row in every_row()
        if row["kind"] == "number" and not (re.search(r"\d", row["answer"]) and re.search(r"\d", row["false_answer"]))
    ]
    assert not bad


def test_a_question_with_a_digit_answer_has_a_digit_false_answer() -> None:
    bad = [row["id"] for row in every_row() if row["answer"].isdigit() != row["false_answer"].isdigit()]
    assert not bad


def test_belief_sentences_hold_answers_of_a_bearable_length() -> None:
    bad = [row["id"] for row in every_row() if max(len(row["answer"]), len(row["false_answer"])) > 90]
    assert not bad


def test_the_source_says_more_than_a_word() -> None:
    assert not [row["id"] for row in every_row() if len(row["source"]) < 7]
