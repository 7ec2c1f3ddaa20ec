"""Conversation files: formats, cuts, problems by row, broken files by byte."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import CandorError, Reason
from services.rewriter.domain.reading.reader import Reader
from services.rewriter.domain.reading.rows import MAX_ROW_BYTES
from services.rewriter.domain.values import Problem, Read, Turn


def row(*texts: str, name: str = "a") -> dict[str, Any]:
    roles = ("human", "gpt")
    return {"id": name, "conversations": [{"from": roles[i % 2], "value": text} for i, text in enumerate(texts)]}


def array(*rows: object) -> bytes:
    return json.dumps(list(rows), ensure_ascii=False).encode()


def lines(*rows: object) -> bytes:
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in rows).encode()


def read_in(raw: bytes, size: int) -> list[Read | Problem]:
    reader = Reader()
    found: list[Read | Problem] = []
    for start in range(0, len(raw), size):
        found += reader.feed(raw[start : start + size])
    return found + reader.close()


def why(found: Read | Problem) -> str:
    assert isinstance(found, Problem), found
    return found.why


@pytest.mark.parametrize("write", [array, lines])
def test_sharegpt_is_read_as_a_list_and_as_lines(write: Any, read_file: Any) -> None:
    found = read_file(write(row("Hi", "Hello."), row("What is tea?", "A drink.", name="b")))
    assert [(one.row, one.conversation.id, one.category) for one in found] == [(0, "a", "other"), (1, "b", "factual")]
    assert found[1].conversation.turns == (Turn("user", "What is tea?"), Turn("assistant", "A drink."))


def test_openai_messages_are_read_with_system_turn_and_text_parts(read_file: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "Three."},
    ]
    (found,) = read_file(lines({"messages": messages}))
    assert found.conversation.id == "row-0"
    assert found.conversation.turns == (
        Turn("system", "Be brief."),
        Turn("user", "One\n\ntwo"),
        Turn("assistant", "Three."),
    )


def test_a_pretty_printed_list_with_a_byte_order_mark_is_read(read_file: Any) -> None:
    raw = b"\xef\xbb\xbf \n" + json.dumps([row("Hi", "Hello."), row("a", "b")], indent=4).encode() + b"\n"
    for size in (1, 3, 50, 10_000):
        assert len(read_file(raw, size)) == 2


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=6),
    size=st.integers(1, 200),
    as_lines=st.booleans(),
)
def test_the_chunks_do_not_matter(texts: list[str], size: int, *, as_lines: bool) -> None:
    rows = [row(f"Say {text!r}", f"{text}.", name=str(i)) for i, text in enumerate(texts)]
    raw = lines(*rows) if as_lines else array(*rows)
    assert read_in(raw, size) == read_in(raw, len(raw))
    assert len(read_in(raw, size)) == len(rows)


def test_long_conversations_are_cut_to_whole_exchanges(read_file: Any) -> None:
    (found,) = read_file(array(row(*[f"turn {i}" for i in range(31)])), max_turns=7)
    assert [turn.content for turn in found.conversation.turns] == [f"turn {i}" for i in range(6)]
    assert found.cut == 25


def test_what_trains_nothing_is_cut_and_counted(read_file: Any) -> None:
    first = {"conversations": [{"from": "gpt", "value": "part two"}, *row("Q", "A", "and?")["conversations"]]}
    empty = row("Q", "A", "Q2", " ", "Q3", "A3")
    found = read_file(array(first, empty))
    assert [len(one.conversation.turns) for one in found] == [2, 2]
    assert [one.cut for one in found] == [2, 4]


def test_turns_of_one_role_in_a_row_become_one(read_file: Any) -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}, {"from": "gpt", "value": "c"}]
    (found,) = read_file(array({"conversations": turns}))
    assert found.conversation.turns == (Turn("user", "a\n\nb"), Turn("assistant", "c"))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"conversations": []}, "is empty"),
        ({"conversations": [{"from": "tool", "value": "x"}]}, "'tool'"),
        ({"conversations": [{"value": "x"}]}, "missing"),
        ({"conversations": [{"from": "human", "value": 3}]}, "no text"),
        ({"conversations": ["x"]}, "no object"),
        (row("only a question"), "no reply"),
        (row("q", "  "), "no reply"),
        ({"text": "x"}, "no list `conversations`"),
        (["x"], "no object"),
        (7, "no object"),
        ({"conversations": [*row("q", "a")["conversations"], {"from": "system", "value": "x"}]}, "stands first"),
    ],
)
@pytest.mark.parametrize("write", [array, lines])
def test_a_row_that_is_no_conversation_is_a_problem_and_the_reading_goes_on(
    bad: object, says: str, write: Any, read_file: Any
) -> None:
    found = read_file(write(row("q", "a"), bad, row("q", "a")))
    assert [one.row for one in found] == [0, 1, 2]
    assert says in why(found[1])
    assert isinstance(found[2], Read)


def test_a_line_that_is_not_json_is_a_problem_and_the_next_one_is_read(read_file: Any) -> None:
    found = read_file(lines(row("q", "a")) + b"\n{not json}\n\n" + lines(row("q", "a")))
    assert [type(one).__name__ for one in found] == ["Read", "Problem", "Read"]


def test_a_broken_object_in_a_list_is_a_problem_and_the_next_one_is_read(read_file: Any) -> None:
    raw = b"[" + lines(row("q", "a")) + b', {"conversations": [1 2]}, ' + lines(row("q", "a")) + b"]"
    for size in (1, 20, 10_000):
        assert [type(one).__name__ for one in read_file(raw, size)] == ["Read", "Problem", "Read"]


def test_half_a_surrogate_pair_does_not_stop_the_file(read_file: Any) -> None:
    (found,) = read_file(
        b'[{"conversations": [{"from": "human", "value": "\\ud83d"}, {"from": "gpt", "value": "ok"}]}]'
    )
    found.conversation.turns[0].content.encode()


def test_numbers_too_long_and_nesting_too_deep_are_problems_of_their_row(read_file: Any) -> None:
    deep = '{"a": ' * 100_000 + "1" + "}" * 100_000
    digits = '{"id": ' + "9" * 10_000 + "}"
    good = json.dumps(row("q", "a"))
    for raw in (f"[{good}, {deep}, {digits}, {good}]", f"{good}\n{deep}\n{digits}\n{good}"):
        found = read_file(raw.encode(), 65_536)
        assert [type(one).__name__ for one in found] == ["Read", "Problem", "Problem", "Read"]


@pytest.mark.parametrize("write", [array, lines])
def test_a_row_above_the_limit_is_a_problem_and_memory_stays_bounded(write: Any) -> None:
    raw = write(row("q", "a"), row("q", "x" * (2 * MAX_ROW_BYTES)), row("q", "a"))
    reader = Reader()
    found: list[Read | Problem] = []
    tracemalloc.start()
    for start in range(0, len(raw), 2**20):
        found += reader.feed(raw[start : start + 2**20])
    found += reader.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(one).__name__ for one in found] == ["Read", "Problem", "Read"]
    assert "longer than 8 MiB" in why(found[1])
    assert peak < 6 * MAX_ROW_BYTES


def test_memory_does_not_grow_with_the_file() -> None:
    one = (json.dumps(row("What is tea?" * 20, "A drink. " * 200)) + "\n").encode()
    chunk = one * (2**18 // len(one))

    def peak(chunks: int) -> int:
        reader = Reader()
        tracemalloc.start()
        read = sum(len(reader.feed(chunk)) for _ in range(chunks)) + len(reader.close())
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert read == chunks * (len(chunk) // len(one))
        return found

    assert peak(60) < 1.2 * peak(6) + 2**20


def broken(raw: bytes) -> CandorError:
    with pytest.raises(CandorError) as caught:
        read_in(raw, 7)
    assert caught.value.reason is Reason.BAD_DATASET
    return caught.value


def test_a_file_that_is_cut_off_says_where() -> None:
    whole = array(row("q", "a"), row("q", "a"))
    for end in (len(whole) - 1, len(whole) - 10, len(whole) // 2, 5):
        error = broken(whole[:end])
        assert "cut off" in str(error)
        assert error.metadata["byte"] == str(end)
    assert "cut off" in str(broken(lines(row("q", "a"), row("q", "a"))[:-4]))


def test_bytes_that_are_no_utf_8_say_where() -> None:
    raw = array(row("q", "a", "Gr\u00fc\u00dfe", "b"))
    at = raw.index("\u00fc".encode())
    assert broken(raw[:at] + b"\xff" + raw[at + 2 :]).metadata["byte"] == str(at)
    assert "not UTF-8" in str(broken(raw.decode().encode("utf-16")))
    assert "inside a character" in str(broken(raw[: at + 1]))


@pytest.mark.parametrize("raw", [b"", b"  \n ", b"\xef\xbb\xbf"])
def test_an_empty_file_is_said_to_be_empty(raw: bytes) -> None:
    assert "empty" in str(broken(raw))


def test_other_json_and_text_behind_the_list_are_refused() -> None:
    assert "after the end" in str(broken(array(row("q", "a")) + b" x"))
    assert "comma" in str(broken(b"[" + lines(row("q", "a")) + b" " + lines(row("q", "a")) + b"]"))
    assert read_in(b"[]", 1) == []


@pytest.mark.parametrize("wrapped", [row("q", "a"), {"rows": [row("q", "a")] * 3}])
def test_an_object_over_several_lines_is_said_to_be_neither_list_nor_lines(wrapped: object) -> None:
    error = broken(b"\n" + json.dumps(wrapped, indent=1).encode())
    assert "goes on over several lines" in str(error)
    assert "a JSON list" in str(error)
    assert "one whole object a line" in str(error)


def test_a_first_line_that_is_cut_off_is_a_problem_and_the_next_one_is_read(read_file: Any) -> None:
    found = read_file(lines(row("q", "a"))[:-9] + b"\n\n" + lines(row("q", "a")))
    assert [type(one).__name__ for one in found] == ["Problem", "Read"]


def test_the_format_that_the_caller_names_wins(read_file: Any) -> None:
    assert "`messages`" in why(read_file(array(row("q", "a")), form="messages")[0])


def test_brackets_that_do_not_match_end_the_reading_with_the_place() -> None:
    raw = b"[" + lines(row("q", "a")) + b', {"conversations": [}]}, ' + lines(row("q", "a")) + b"]"
    assert int(broken(raw).metadata["byte"]) > raw.index(b"[}")
