"""The body of a chat completion -> text, reasoning, usage; or the reason why it is no reply."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.llm.reasoning import split_reasoning
from chassis.llm.values import Usage
from chassis.text import plain

# More than the largest token limit can say; what is longer is no reply, and would fill messages and the ledger.
MAX_REPLY_CHARS = 200_000
_HALVES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A reply without its circumstances."""

    text: str
    finish_reason: str
    reasoning: str
    usage: Usage
    reported_model: str


def read(body: bytes, token_limit: str) -> Parsed:
    """Read a 200 body; `token_limit` says how the limit was sent, for the error about it.

    Raises:
        CandorError: BAD_REPLY, EMPTY_REPLY or OUTPUT_BUDGET.
    """
    try:
        value = json.loads(body)
    except ValueError as error:
        raise CandorError(
            Reason.BAD_REPLY, f"the reply is not JSON ({len(body)} bytes; cut short, or not a chat completion)"
        ) from error
    if not isinstance(value, dict):
        raise CandorError(Reason.BAD_REPLY, "the reply is not a chat completion object")
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise CandorError(Reason.BAD_REPLY, f"the reply has no choices{_error_inside(value)}")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise CandorError(Reason.BAD_REPLY, "the reply's first choice has no message")
    finish = _whole(str(choices[0].get("finish_reason") or ""))
    text, thought = split_reasoning(_text(message.get("content")) or _text(message.get("refusal")))
    reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning")) or thought
    model = plain(str(value.get("model") or ""), 200)
    if len(text) > MAX_REPLY_CHARS:
        raise CandorError(Reason.BAD_REPLY, f"the reply has {len(text):,} characters; at most {MAX_REPLY_CHARS:,}")
    if not text.strip():
        raise _empty(finish, bool(reasoning), bool(message.get("tool_calls")), token_limit, model)
    return Parsed(text, finish, reasoning[:MAX_REPLY_CHARS], _usage(value.get("usage")), model)


def _empty(finish: str, reasoned: bool, called_tool: bool, token_limit: str, model: str) -> CandorError:
    metadata = {"reported_model": model} if model else {}
    if finish == "length":
        used = "reasoning took all of it" if reasoned else "nothing came"
        message = f"no text within {token_limit}: {used}; raise sampling.max_tokens"
        return CandorError(Reason.OUTPUT_BUDGET, message, metadata=metadata)
    why = f" (finish_reason {plain(finish, 40)})" if finish else ""
    if called_tool:
        why = " (it called a tool)"
    return CandorError(Reason.EMPTY_REPLY, f"the endpoint sent a reply without text{why}", metadata=metadata)


def _text(value: Any) -> str:
    """Content as a string; the text parts of a list of parts."""
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        parts = (part.get("text") for part in value if isinstance(part, dict) and part.get("type", "text") == "text")
        return _whole("".join(part for part in parts if isinstance(part, str)))
    return ""


def _whole(text: str) -> str:
    """JSON can spell half of a surrogate pair; no UTF-8 can hold it."""
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)


def _usage(value: Any) -> Usage:
    if not isinstance(value, dict):
        return Usage()
    details = value.get("completion_tokens_details")
    return Usage(
        prompt_tokens=_count(value.get("prompt_tokens")),
        completion_tokens=_count(value.get("completion_tokens")),
        reasoning_tokens=_count(details.get("reasoning_tokens")) if isinstance(details, dict) else None,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _error_inside(value: dict[str, Any]) -> str:
    """Some gateways answer 200 with an error inside."""
    error = value.get("error")
    words = error.get("message") if isinstance(error, dict) else error
    return f": {plain(str(words), 200)}" if words else ""
