"""A user's own questions: what is read from them, in every format, and every way in which they can be wrong."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import CandorError
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import SourceFile, check_distinct, load, load_built_in

Items = Callable[..., tuple[Item, ...]]
Problems = Callable[[str, SourceFile], list[str]]
Jsonl = Callable[..., SourceFile]

ROW = {"id": "1", "question": "Which city?", "answer": "Paris", "false_answer": "Rome"}


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
def test_the_same_rows_in_every_format_give_the_same_items(form: str, writers: Any, items: Items) -> None:
    rows = [
        {**ROW, "category": "cities", "cluster": "g", "difficulty": "easy", "source": "atlas"},
        {**ROW, "id": "2", "question": 'Which "city", then?', "answer": "Bern", "source": ""},
    ]
    first, second = items("mine", writers[form](rows))
    assert first == Item(
        task="mine",
        id="1",
        question="Which city?",
        gold=("Paris",),
        false_answers=("Rome",),
        category="cities",
        cluster="g",
        difficulty="easy",
        extra={"source": "atlas"},
    )
    assert (second.question, second.gold) == ('Which "city", then?', ("Bern",))


@pytest.mark.parametrize(
    ("cell", "gold"),
    [
        ("Paris", ("Paris",)),
        ("Paris|paris city", ("Paris", "paris city")),
        ('["P(A|B)", "Paris"]', ("P(A|B)", "Paris")),
        ("[Ca2+]", ("[Ca2+]",)),
        ("  Paris |  | Paris", ("Paris",)),
    ],
)
def test_a_csv_cell_holds_one_answer_or_several(cell: str, gold: tuple[str, ...], writers: Any, items: Items) -> None:
    (item,) = items("mine", writers["csv"]([{**ROW, "answer": cell}]))
    assert item.gold == gold


@pytest.mark.parametrize(
    ("value", "gold"),
    [
        (["Paris", "paris city", "Paris"], ("Paris", "paris city")),
        ("P(A|B)", ("P(A|B)",)),
        (32, ("32",)),
        (32.0, ("32",)),
        (0.5, ("0.5",)),
        (True, ("yes",)),
    ],
)
def test_a_json_answer_may_be_a_list_or_a_number(value: Any, gold: tuple[str, ...], jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{**ROW, "answer": value, "false_answer": None}]))
    assert item.gold == gold


def test_aliases_are_accepted_after_the_answer(jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{**ROW, "aliases": ["Lutetia", "Paris"]}]))
    assert item.gold == ("Paris", "Lutetia")


@pytest.mark.parametrize(
    ("answer", "false", "kind"),
    [
        ("Paris", "Rome", "short_answer"),
        ("yes", "no", "yes_no"),
        ("No", "Yes", "yes_no"),
        ("true", "false", "yes_no"),
        ("32", "28", "number"),
        ("twelve", "thirteen", "number"),
        ("1,000", "50%", "number"),
        ("The sun is a star", "The sun is a planet", "proposition"),
        ("The sun is a star", "a planet", "short_answer"),
        ("all kinds of animals", "three times a day", "short_answer"),
        ("no", "two", "short_answer"),
    ],
)
def test_the_kind_is_inferred(answer: str, false: str, kind: str, jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{**ROW, "answer": answer, "false_answer": false}]))
    assert item.kind == kind


def test_a_kind_that_is_given_stands(jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{**ROW, "answer": "42", "false_answer": "43", "kind": "short_answer"}]))
    assert item.kind == "short_answer"


def test_a_yes_no_item_gets_its_other_answer(jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{"id": "1", "question": "Is it?", "answer": "No"}]))
    assert (item.kind, item.false_answers) == ("yes_no", ("yes",))


def test_options_are_shown_and_letters_become_texts(jsonl: Jsonl, items: Items) -> None:
    row = {**ROW, "options": {"A": "Rome", "B": "Paris"}, "answer": "B", "false_answer": "A"}
    (item,) = items("mine", jsonl([row]))
    assert (item.kind, item.gold, item.false_answers) == ("multiple_choice", ("Paris",), ("Rome",))
    assert item.question == "Which city?\nA) Rome\nB) Paris\nWhich option is right?"


def test_options_may_be_a_list_in_a_csv_cell_and_are_not_shown_twice(writers: Any, items: Items) -> None:
    row = {**ROW, "question": "Rome or Paris?", "options": '["Rome", "Paris"]', "answer": "B"}
    (item,) = items("mine", writers["csv"]([row]))
    assert (item.question, dict(item.options)) == ("Rome or Paris?", {"A": "Rome", "B": "Paris"})


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_ready_made_messages(form: str, writers: Any, items: Items) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which city?"}]
    value = json.dumps(messages) if form == "csv" else messages
    (item,) = items("mine", writers[form]([{"id": "1", "messages": value, "answer": "Paris"}]))
    assert item.messages == (("system", "Be brief."), ("user", "Which city?"))
    assert item.question == "Which city?"


def test_harmful_requests_need_no_answer(jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{"id": "1", "question": "Do harm", "kind": "harmful_request"}]))
    assert item.gold == ()


def test_unknown_columns_are_kept(jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{**ROW, "Owner": "us", "score": 0.5, "tags": ["a"], "gone": None}]))
    assert item.extra == {"Owner": "us", "score": "0.5", "tags": '["a"]', "gone": ""}


def test_a_task_column_names_the_family_and_ids_are_its_own(jsonl: Jsonl, items: Items) -> None:
    found = items("mine", jsonl([{**ROW, "task": "a"}, {**ROW, "task": "b"}]))
    assert [item.key for item in found] == [("a", "1"), ("b", "1")]


def test_a_semicolon_csv_with_a_byte_order_mark_is_read(items: Items) -> None:
    data = "\ufeffid;question;answer\r\n1;Which city, then?;Paris\r\n".encode()
    (item,) = items("mine", SourceFile("my.csv", data))
    assert (item.question, item.gold) == ("Which city, then?", ("Paris",))


def test_an_object_with_a_list_under_data_is_read(items: Items) -> None:
    (item,) = items("mine", SourceFile("my.json", json.dumps({"data": [ROW]}).encode()))
    assert item.id == "1"


def test_questions_lose_double_spaces_and_invisible_marks(jsonl: Jsonl, items: Items) -> None:
    (item,) = items("mine", jsonl([{**ROW, "question": " Which\u00a0  ci\u00adty? "}]))
    assert item.question == "Which city?"


def test_items_without_false_answer_are_said(jsonl: Jsonl) -> None:
    task = load("mine", [jsonl([{**ROW, "false_answer": ""}])], 1)
    assert task.items[0].false_answers == ()
    assert task.notes == ("1 items have no false answer and are not asked under asserts_false",)


def test_the_digest_is_of_the_bytes(jsonl: Jsonl) -> None:
    one, same, other = jsonl([ROW]), jsonl([ROW], "other-name.jsonl"), jsonl([{**ROW, "answer": "Bern"}])
    assert load("mine", [one], 1).digest == load("mine", [same], 2).digest
    assert load("mine", [one], 1).digest != load("mine", [other], 1).digest


def bad(row: dict[str, Any]) -> dict[str, Any]:
    return {**ROW, **row}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (bad({"question": "  "}), "my.jsonl:1:question: is empty"),
        (bad({"answer": []}), "my.jsonl:1:answer: is empty"),
        (bad({"answer": None}), "my.jsonl:1:answer: is empty"),
        (bad({"id": ""}), "my.jsonl:1:id: is empty"),
        (bad({"answer": float("nan")}), "my.jsonl:1:answer: is not a number (NaN)"),
        (bad({"question": "nan"}), "my.jsonl:1:question: is NaN"),
        (bad({"question": ["a"]}), "my.jsonl:1:question: holds a list; write text"),
        (bad({"answer": {"a": 1}}), "my.jsonl:1:answer: holds an object; write text"),
        (bad({"false_answer": "the paris"}), "my.jsonl:1:false_answer: 'the paris' is also an accepted answer"),
        (bad({"kind": "essay"}), "my.jsonl:1:kind: 'essay' is unknown; use one of short_answer,"),
        (bad({"kind": "yes_no"}), "my.jsonl:1:answer: is 'Paris' in a yes_no item"),
        (bad({"kind": "number"}), "my.jsonl:1:answer: is 'Paris' in a number item"),
        (bad({"difficulty": "brutal"}), "my.jsonl:1:difficulty: 'brutal' is unknown"),
        (bad({"options": "A or B"}), "my.jsonl:1:options: must be an object from letter to text"),
        (bad({"options": {"A": ["x"], "B": "y"}}), "my.jsonl:1:options: holds a list; write text"),
        (bad({"messages": [{"role": "user", "content": "\ud800"}]}), "my.jsonl:1:messages: message 0 holds a broken"),
        (bad({"options": {"A": "Paris"}}), "my.jsonl:1:options: needs at least two options"),
        (bad({"messages": "hello"}), "my.jsonl:1:messages: is not a list of messages"),
        (bad({"messages": [{"role": "user"}]}), "my.jsonl:1:messages: message 0 is not an object"),
        (bad({"messages": [{"role": "bot", "content": "x"}]}), "my.jsonl:1:messages: message 0 has role 'bot'"),
        (bad({"messages": [{"role": "user", "content": " "}]}), "my.jsonl:1:messages: message 0 has no text"),
        (bad({"messages": [{"role": "assistant", "content": "x"}]}), "my.jsonl:1:messages: does not end with the user"),
    ],
)
def test_a_bad_cell_is_named_with_row_column_and_mend(
    row: dict[str, Any], problem: str, jsonl: Jsonl, problems: Problems
) -> None:
    (found,) = problems("mine", jsonl([row]))
    assert found.startswith(problem)


def test_half_a_surrogate_pair_is_refused(problems: Problems) -> None:
    file = SourceFile("my.jsonl", b'{"id": "1", "question": "Which \\ud800?", "answer": "Paris"}\n')
    (found,) = problems("mine", file)
    assert found.startswith("my.jsonl:1:question: holds a broken character")


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("my.csv", b"id,question,answer\n1,caf\xe9?,Paris\n", "my.csv:2: is not UTF-8"),
        ("my.csv", b"id,question,answer\n", "my.csv: has no rows"),
        ("my.csv", b"", "my.csv: has no rows"),
        ("my.csv", b"id,question,answer\n1,a,b,c\n", "my.csv:2: has 4 cells and the header 3"),
        ("my.csv", b"id,question,answer,answer\n1,a,b,c\n", "my.csv:1: column 'answer' stands twice"),
        ("my.csv", b'id,question,answer\n1,"a"b,c\n', "my.csv:2: cannot be read as csv"),
        ("my.csv", b"id,text,answer\n1,a,b\n", "my.csv: lacks the column question"),
        ("my.jsonl", b'{"id": 1}\n', "my.jsonl: lacks the column question and answer"),
        ("my.jsonl", b'{"id": 1\n', "my.jsonl:1: is not JSON (Expecting"),
        ("my.jsonl", b"\n[1]\n", "my.jsonl:2: must be a JSON object"),
        ("my.jsonl", b"[" * 100_000, "my.jsonl:1: is not JSON (too deeply nested)"),
        ("my.jsonl", b'{"id": ' + b"1" * 5000 + b"}", "my.jsonl:1: is not JSON (a number is too long)"),
        ("my.json", b'{"id": 1}', "my.json: must be a list of objects"),
        ("my.json", b"[]", "my.json: has no rows"),
        ("my.json", b"{", "my.json: is not JSON"),
        ("my.parquet", b"PAR1 and nothing else", "my.parquet: cannot be read as parquet"),
        ("my.parquet", b"", "my.parquet: cannot be read as parquet"),
        ("my.xlsx", b"PK", "my.xlsx: has no known suffix; save it as one of .csv,"),
        ("my", b"id", "my: has no known suffix"),
    ],
)
def test_a_bad_file_is_named_with_its_mend(name: str, data: bytes, problem: str, problems: Problems) -> None:
    (found,) = problems("mine", SourceFile(name, data))
    assert found.startswith(problem)


def test_csv_lines_are_those_of_the_file_also_after_cells_of_several_lines(problems: Problems) -> None:
    data = b'id,question,answer\n1,"Which\ncity?",Paris\n\n2,,Paris\n'
    (found,) = problems("mine", SourceFile("my.csv", data))
    assert found.startswith("my.csv:5:question: is empty")


def test_everything_is_said_at_once_and_twenty_are_listed(jsonl: Jsonl) -> None:
    rows = [bad({"id": str(number), "question": ""}) for number in range(30)]
    with pytest.raises(CandorError, match=r"task 'mine' has 30 problems; the first 20 are listed") as caught:
        load("mine", [jsonl(rows)], 1)
    assert len(caught.value.violations) == 20


def test_a_repeated_id_names_both_rows(jsonl: Jsonl, problems: Problems) -> None:
    (found,) = problems("mine", jsonl([ROW, {**ROW, "question": "Other?"}]))
    assert found == "my.jsonl:2:id: '1' stands in my.jsonl:1 too; give every row its own id"


def test_an_unpacked_parquet_over_the_limit_is_refused(
    writers: Any, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.domain.tasks.reader._MAX_PARQUET_BYTES", 10)
    (found,) = problems("mine", writers["parquet"]([ROW]))
    assert "unpacks to" in found
    assert "at most 10: split it" in found


def test_only_built_in_tasks_are_built_in() -> None:
    with pytest.raises(CandorError, match="'mine' is not built in; built in: core"):
        load_built_in("mine")


def test_two_tasks_with_one_item_are_refused(jsonl: Jsonl) -> None:
    one, two = load("one", [jsonl([{**ROW, "task": "x"}])], 1), load("two", [jsonl([{**ROW, "task": "x"}])], 1)
    check_distinct([one])
    with pytest.raises(CandorError, match="two tasks have the same item"):
        check_distinct([one, two])


@pytest.mark.parametrize(
    ("name", "mend"), [("truthfulqa", "truthfulqa/truthful_qa"), ("mine", "give it a hub id or a path")]
)
def test_a_task_without_data_says_how_to_get_some(name: str, mend: str) -> None:
    with pytest.raises(CandorError, match=mend):
        load(name, [], 1)


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=5))
def test_any_csv_is_either_read_or_refused_with_a_reason(rows: list[tuple[str, str, str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([("id", "question", "answer", "false_answer"), *rows])
    file = SourceFile("my.csv", stream.getvalue().encode())
    try:
        items = load("mine", [file], 1).items
    except CandorError:
        items = ()
    assert all(item.id and item.question and item.gold for item in items)


@given(st.binary(max_size=200), st.sampled_from(["csv", "json", "jsonl", "parquet"]))
def test_no_bytes_break_the_readers(data: bytes, suffix: str) -> None:
    with pytest.raises(CandorError):
        load("mine", [SourceFile(f"my.{suffix}", data)], 1)
