"""A chat completion's body -> text, or the reason why it is none."""

import json
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from chassis.llm.reading import read
from chassis.llm.reasoning import split_reasoning
from chassis.llm.values import Usage


def body(content: Any = "Paris.", finish: str | None = "stop", **message: Any) -> bytes:
    value = {
        "model": "m-2026",
        "choices": [{"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 2}},
    }
    return json.dumps(value).encode()


def reason_of(data: bytes) -> CandorError:
    with pytest.raises(CandorError) as caught:
        read(data, "max_tokens=300")
    return caught.value


def test_a_reply_is_read() -> None:
    found = read(body(), "max_tokens=300")
    assert (found.text, found.finish_reason, found.reported_model) == ("Paris.", "stop", "m-2026")
    assert found.usage == Usage(prompt_tokens=7, completion_tokens=3, reasoning_tokens=2)


def test_absent_usage_is_unknown_and_not_zero() -> None:
    data = json.dumps({"choices": [{"message": {"content": "x"}}]}).encode()
    assert read(data, "").usage == Usage()
    assert read(data, "").finish_reason == ""


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices": [{"mess',
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": ["x"]}',
        b'{"choices": [{}]}',
        b'{"error": {"message": "upstream"}, "choices": []}',
    ],
)
def test_what_is_no_completion_is_a_bad_reply(data: bytes) -> None:
    assert reason_of(data).reason is Reason.BAD_REPLY


def test_an_error_inside_a_200_is_quoted() -> None:
    assert "upstream broke" in reason_of(b'{"error": {"message": "upstream broke"}}').message


def test_an_empty_text_is_an_error_and_names_the_budget_when_that_was_it() -> None:
    assert reason_of(body("")).reason is Reason.EMPTY_REPLY
    assert reason_of(body("  \n")).reason is Reason.EMPTY_REPLY
    assert reason_of(body(None)).reason is Reason.EMPTY_REPLY
    cut = reason_of(body("", "length"))
    assert cut.reason is Reason.OUTPUT_BUDGET
    assert "max_tokens=300" in cut.message
    assert "reasoning took all of it" in reason_of(body("", "length", reasoning="long thought")).message
    assert "content_filter" in reason_of(body("", "content_filter")).message
    assert "tool" in reason_of(body(None, "tool_calls", tool_calls=[{"id": "1"}])).message


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_in_its_own_field_is_kept_apart(field: str) -> None:
    found = read(body("Paris.", **{field: "France, so"}), "")
    assert (found.text, found.reasoning) == ("Paris.", "France, so")


def test_a_refusal_field_is_the_reply_when_there_is_no_content() -> None:
    assert read(body(None, refusal="I can't help with that."), "").text == "I can't help with that."


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Par"}, {"type": "image"}, {"type": "text", "text": "is."}, "junk"]
    assert read(body(parts), "").text == "Paris."


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("<think>\nhm\n</think>\n\nParis.", "Paris.", "hm"),
        ("  <thinking>hm</thinking>Paris.", "Paris.", "hm"),
        ("<think></think>Paris.", "Paris.", ""),
        ("<think>never ends", "", "never ends"),
        ("opened by the template</think>Paris.", "Paris.", "opened by the template"),
        ("Paris. <think>an afterthought</think>", "Paris. <think>an afterthought</think>", ""),
        ("Paris.", "Paris.", ""),
    ],
)
def test_a_leading_think_block_is_cut_off(text: str, answer: str, thought: str) -> None:
    assert split_reasoning(text) == (answer, thought)
