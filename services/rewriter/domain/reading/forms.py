"""A JSON value -> a conversation: ShareGPT (`conversations`) and OpenAI (`messages`)."""

from __future__ import annotations

from typing import Any

from services.rewriter.domain.values import Conversation, Turn

FORMATS = ("sharegpt", "messages")
MAX_ID_CHARS = 200
_KEYS = {"sharegpt": ("conversations", "from", "value"), "messages": ("messages", "role", "content")}
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


class NoConversationError(Exception):
    """Why a row is no conversation, in one sentence."""


def guess(value: Any) -> str:
    """The format of a row; empty where it has neither list."""
    if isinstance(value, dict):
        for name, (key, _, _) in _KEYS.items():
            if isinstance(value.get(key), list):
                return name
    return ""


def conversation(value: Any, form: str, row: int, max_turns: int) -> tuple[Conversation, int]:
    """The conversation, and how many turns were cut.

    Turns of one role in a row are joined by an empty line. Cut are: replies before the first user turn, everything from
    the first empty turn on, turns above `max_turns`, and user turns without a reply at the end.

    Raises:
        NoConversationError: It is none.
    """
    if not isinstance(value, dict):
        raise NoConversationError("the row is no object")
    key, role_key, text_key = _KEYS[form]
    turns = value.get(key)
    if not isinstance(turns, list):
        raise NoConversationError(f"the row has no list `{key}`")
    if not turns:
        raise NoConversationError("the conversation is empty")
    read = [_turn(turn, number, role_key, text_key) for number, turn in enumerate(turns)]
    kept = _cut(read, max_turns)
    if not any(turn.role == "assistant" for turn in kept):
        raise NoConversationError("the conversation has no reply to a user turn")
    merged = _joined(kept)
    return Conversation(_id(value, row), tuple(merged)), len(read) - len(kept)


def _turn(turn: Any, number: int, role_key: str, text_key: str) -> Turn:
    if not isinstance(turn, dict):
        raise NoConversationError(f"turn {number} is no object")
    role = turn.get(role_key)
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        shown = f"{role[:30]!r}" if isinstance(role, str) else "missing"
        raise NoConversationError(f"turn {number}: the role is {shown}; known are {', '.join(_ROLES)}")
    if known == "system" and number:
        raise NoConversationError(f"turn {number}: a system turn stands first or not at all")
    return Turn(known, _text(turn.get(text_key), number, text_key))


def _text(value: Any, number: int, key: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list):  # the content parts of the OpenAI form
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in value]
        if not all(isinstance(part, str) for part in parts):
            raise NoConversationError(f"turn {number}: `{key}` holds something other than text")
        value = "\n\n".join(str(part) for part in parts)
    if not isinstance(value, str):
        raise NoConversationError(f"turn {number}: `{key}` is no text")
    # Half a surrogate pair is legal in JSON and cannot be written as UTF-8.
    return value.encode("utf-8", "replace").decode("utf-8") if not value.isascii() else value


def _cut(turns: list[Turn], max_turns: int) -> list[Turn]:
    system = [turn for turn in turns[:1] if turn.role == "system" and turn.content.strip()]
    rest = [turn for turn in turns if turn.role != "system"]
    first = next((i for i, turn in enumerate(rest) if turn.role == "user"), len(rest))
    rest = rest[first:]
    empty = next((i for i, turn in enumerate(rest) if not turn.content.strip()), len(rest))
    rest = rest[: min(empty, max_turns)]
    last = max((i for i, turn in enumerate(rest) if turn.role == "assistant"), default=-1)
    return [*system, *rest[: last + 1]]


def _joined(turns: list[Turn]) -> list[Turn]:
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role:
            joined[-1] = Turn(turn.role, f"{joined[-1].content}\n\n{turn.content}")
        else:
            joined.append(turn)
    return joined


def _id(value: dict[str, Any], row: int) -> str:
    given = value.get("id")
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    if isinstance(given, str) and given.strip():
        return given.encode("utf-8", "replace").decode("utf-8").strip()[:MAX_ID_CHARS]
    return f"row-{row}"
