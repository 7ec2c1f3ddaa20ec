"""Training data as it is read: JSON lines of {"messages": [{"role", "content"}]}, each fault with its line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from chassis.errors import CandorError, Reason

ROLES = ("system", "user", "assistant")


class Turn(NamedTuple):
    """One message."""

    role: str
    content: str


class Conversation(NamedTuple):
    """Messages in order, and the line that they stand in (from 1)."""

    line: int
    turns: tuple[Turn, ...]

    def messages(self) -> list[dict[str, str]]:
        """As chat templates want them."""
        return [{"role": turn.role, "content": turn.content} for turn in self.turns]


def read(lines: Iterable[str]) -> list[Conversation]:
    """All conversations; blank lines are skipped.

    Raises:
        CandorError: BAD_TRAINING_DATA naming the first bad line.
    """
    found = [_conversation(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise bad("the data set holds no conversation")
    return found


def bad(what: str, line: int = 0) -> CandorError:
    """An error about the data; `line` counts from 1, 0 means the whole."""
    where = f"dataset, line {line}: " if line else "dataset: "
    return CandorError(Reason.BAD_TRAINING_DATA, where + what)


def _conversation(line: int, text: str) -> Conversation:
    try:
        record: Any = json.loads(text)
    except ValueError as error:
        raise bad("is not JSON; each line must be one object with messages", line) from error
    messages = record.get("messages") if isinstance(record, dict) else None
    if not isinstance(messages, list) or not messages:
        raise bad('has no messages; write {"messages": [{"role": "user", "content": "..."}, ...]}', line)
    turns = tuple(_turn(line, number, message) for number, message in enumerate(messages))
    if not any(turn.role == "assistant" for turn in turns):
        raise bad("has no assistant message, so there is nothing to learn from it", line)
    return Conversation(line, turns)


def _turn(line: int, number: int, message: Any) -> Turn:
    role = message.get("role") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if role not in ROLES:
        raise bad(f"messages[{number}].role is not one of {', '.join(ROLES)}", line)
    if not isinstance(content, str) or not content.strip():
        raise bad(f"messages[{number}].content is not a text, or is empty", line)
    return Turn(role, content)
