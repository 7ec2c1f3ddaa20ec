"""Which characters of a rendered conversation the assistant wrote, found by comparing renderings.

Most chat templates carry no generation marks. The text that is new when a reply is added to the rendered prompt *is* what
the assistant writes, its end-of-turn token included, so two renderings a reply say what marks would have said. What
cannot be told for sure is refused: a silently vanished assistant mask would train nothing, or the user's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.trainer.domain.conversations import Conversation, Turn, bad

# (turns, add_generation_prompt) -> the text that the template makes of them.
Render = Callable[[Sequence[Turn], bool], str]


class Span(NamedTuple):
    """Characters [start, end) that the assistant writes; from `closing` on it is the end of the turn."""

    start: int
    closing: int
    end: int


class Rendered(NamedTuple):
    """A conversation as text, and what of it the assistant writes."""

    text: str
    spans: tuple[Span, ...]


def derive(conversation: Conversation, render: Render, special: re.Pattern[str] | None) -> Rendered:
    """Find the assistant's spans by comparison.

    Args:
        conversation: With at least one assistant turn.
        render: The chat template.
        special: Matches a special token of the tokenizer; None when it has none.

    Raises:
        CandorError: BAD_TRAINING_DATA when the template shows too little to tell.
    """
    turns = conversation.turns
    text = render(turns, False)
    spans: list[Span] = []
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        before, after = render(turns[:index], True), render(turns[: index + 1], False)
        if text.startswith(after) and after.startswith(before) and spans_content(after, len(before), turn):
            span = _closed(text, len(before), len(after), turn, special)
        else:
            span = _by_substitution(text, turns, index, render, special)
        if span is None or (spans and span.start < spans[-1].end):
            raise bad(_UNTOLD, conversation.line)
        spans.append(span)
    return Rendered(text, tuple(spans))


def marked(
    conversation: Conversation, text: str, marks: Sequence[tuple[int, int]], special: re.Pattern[str] | None
) -> Rendered:
    """The spans that generation marks of the template give.

    Raises:
        CandorError: BAD_TRAINING_DATA when marks and replies do not belong to each other.
    """
    replies = [turn for turn in conversation.turns if turn.role == "assistant"]
    if len(marks) != len(replies):
        message = f"the chat template marks {len(marks)} of {len(replies)} replies; mend its generation marks"
        raise bad(message, conversation.line)
    spans = []
    for (start, end), turn in zip(marks, replies, strict=True):
        if not spans_content(text[:end], start, turn):
            raise bad("the generation marks of the chat template leave the reply out", conversation.line)
        spans.append(_closed(text, start, end, turn, special) or Span(start, end, end))
    return Rendered(text, tuple(spans))


_UNTOLD = (
    "the chat template has no generation marks, and comparing its renderings does not show where this reply is; "
    "add generation marks to the template of the base model"
)


def spans_content(text: str, start: int, turn: Turn) -> bool:
    """Whether the reply's words stand in the text from `start` on."""
    return turn.content.strip() in text[start:]


def _closed(text: str, start: int, end: int, turn: Turn, special: re.Pattern[str] | None) -> Span | None:
    """The span up to its first special token after the reply, which ends the turn; else all of it."""
    words = turn.content.strip()
    at = text.find(words, start, end)
    if at < 0:
        return None
    closing = at + len(words)
    found = special.search(text, closing, end) if special is not None else None
    return Span(start, closing, found.end() if found else end)


def _by_substitution(
    text: str, turns: Sequence[Turn], index: int, render: Render, special: re.Pattern[str] | None
) -> Span | None:
    """For templates that render a turn differently when others follow: exchange the reply and see what changes."""
    words = turns[index].content.strip()
    other = [*turns]
    # Shares neither its first nor its last character with the reply, so that common ends are the template's.
    outer = next(letter for letter in "QZX" if letter not in (words[0], words[-1]))
    other[index] = Turn("assistant", outer * 3)
    changed = render(other, False)
    start = _common(text, changed)
    end = len(text) - _common(text[start:][::-1], changed[start:][::-1])
    if text[start:end].strip() != words:
        return None
    found = special.match(text, end) if special is not None else None
    return Span(start, end, found.end()) if found else None


def _common(one: str, other: str) -> int:
    """Characters that two texts share from the start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
