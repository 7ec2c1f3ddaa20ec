"""Which characters the assistant wrote, for templates of many shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import CandorError, Reason
from services.trainer.domain.conversations import Conversation, Turn
from services.trainer.domain.spans import Rendered, derive, marked

SPECIAL = re.compile(r"<\|(?:start|end)\|>|</s>")


def chat(*contents: str) -> Conversation:
    roles = ("user", "assistant")
    return Conversation(1, tuple(Turn(roles[place % 2], content) for place, content in enumerate(contents)))


def chatml(turns: Sequence[Turn], prompt: bool) -> str:
    text = "".join(f"<|start|>{turn.role}\n{turn.content}<|end|>\n" for turn in turns)
    return text + ("<|start|>assistant\n" if prompt else "")


def instruct(turns: Sequence[Turn], prompt: bool) -> str:
    """Users in brackets, replies closed by </s>; the prompt ends where the reply begins."""
    del prompt
    return "".join(f"[INST] {t.content} [/INST]" if t.role == "user" else f" {t.content.strip()}</s>" for t in turns)


def thinking(turns: Sequence[Turn], prompt: bool) -> str:
    """The last reply is rendered with an empty thought, earlier ones without, as reasoning models do."""
    parts = []
    for place, turn in enumerate(turns):
        last = place == len(turns) - 1 and turn.role == "assistant"
        parts.append(f"<|start|>{turn.role}\n{'<think></think>' if last else ''}{turn.content}<|end|>\n")
    return "".join(parts) + ("<|start|>assistant\n" if prompt else "")


def replies(rendered: Rendered) -> list[str]:
    return [rendered.text[span.start : span.end] for span in rendered.spans]


def test_a_reply_is_trained_with_its_end_of_turn_and_without_what_follows() -> None:
    rendered = derive(chat("Hi?", "Hello.", "And?", "Bye."), chatml, SPECIAL)
    assert replies(rendered) == ["Hello.<|end|>", "Bye.<|end|>"]
    assert [rendered.text[span.closing : span.end] for span in rendered.spans] == ["<|end|>", "<|end|>"]


def test_what_the_template_puts_before_a_reply_is_the_replys() -> None:
    assert replies(derive(chat("Hi?", "Hello. "), instruct, SPECIAL)) == [" Hello.</s>"]


def test_a_template_that_renders_the_last_turn_differently_is_told_by_exchanging_the_reply() -> None:
    rendered = derive(chat("Hi?", "Hello.", "And?", "Bye."), thinking, SPECIAL)
    assert replies(rendered) == ["Hello.<|end|>", "<think></think>Bye.<|end|>"]


def test_without_special_tokens_the_rest_of_the_turn_closes_it() -> None:
    def plain(turns: Sequence[Turn], prompt: bool) -> str:
        return "".join(f"{turn.role}: {turn.content}\n" for turn in turns) + ("assistant: " if prompt else "")

    assert replies(derive(chat("Hi?", "Hello."), plain, None)) == ["Hello.\n"]


def test_a_reply_that_repeats_the_user_is_found_in_its_own_place() -> None:
    rendered = derive(chat("yes", "yes", "yes", "yes"), chatml, SPECIAL)
    assert replies(rendered) == ["yes<|end|>", "yes<|end|>"]
    assert rendered.spans[0].start > rendered.text.index("yes")


@pytest.mark.parametrize(
    "template",
    [
        lambda turns, _: "".join(turn.content[::-1] for turn in turns),  # the words are not in it
        lambda turns, _: "".join(turn.content for turn in turns if turn.role == "user"),  # replies are dropped
        lambda turns, _: "".join(turn.content.upper() for turn in turns),
    ],
)
def test_a_template_that_hides_the_replies_is_refused_with_the_line(template: object) -> None:
    with pytest.raises(CandorError) as caught:
        derive(chat("Hi?", "Hello."), template, SPECIAL)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.BAD_TRAINING_DATA
    assert "line 1" in caught.value.message


def test_marks_that_miss_a_reply_are_refused() -> None:
    conversation = chat("Hi?", "Hello.", "And?", "Bye.")
    text = chatml(conversation.turns, False)
    with pytest.raises(CandorError, match="marks 1 of 2 replies"):
        marked(conversation, text, [(0, 5)], SPECIAL)
    with pytest.raises(CandorError, match="leave the reply out"):
        marked(conversation, text, [(0, 2), (2, 4)], SPECIAL)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda text: text.strip())


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), st.sampled_from([chatml, instruct, thinking]))
def test_whatever_is_said_exactly_the_replies_are_trained(pairs: list[tuple[str, str]], template: object) -> None:
    conversation = chat(*(text for pair in pairs for text in pair))
    rendered = derive(conversation, template, SPECIAL)  # type: ignore[arg-type]
    assert len(rendered.spans) == len(pairs)
    for (_, reply), span, words in zip(pairs, rendered.spans, replies(rendered), strict=True):
        assert reply.strip() in words
        assert span.start < span.closing < span.end
    outside = rendered.text
    for span in reversed(rendered.spans):
        outside = outside[: span.start] + outside[span.end :]
    for user, _ in pairs:
        assert user in outside or user.strip() in outside
