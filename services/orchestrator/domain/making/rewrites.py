"""From rewritten replies to the conversations that arms are trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.orchestrator.domain.making.conversations import Conversation, Messages


class RewriteRow(NamedTuple):
    """A stored outcome: a rewrite, accepted or not, or an exchange that could not be rewritten.

    `failed` has (check, reason) of what was not passed; (`error`, reason) where there is no rewrite.
    """

    key: bytes
    evaluation_id: str
    text: str = ""
    accepted: bool = False
    failed: tuple[tuple[str, str], ...] = ()
    attempts: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reported_model: str = ""
    style_shift: float = 0.0
    spend: float = 0.0
    created: float = 0.0


class Place(NamedTuple):
    """A reply: conversation by number, turn by position, and the exchange's key."""

    conversation: int
    turn: int
    key: bytes


def exchange_key(messages: Messages, reply: str) -> bytes:
    """What makes two exchanges the same exchange."""
    return hashlib.sha256(json.dumps([messages, reply], ensure_ascii=False).encode()).digest()


def places(conversations: Sequence[Conversation]) -> list[Place]:
    """Every reply of the conversations, in order."""
    return [
        Place(number, turn, exchange_key(each.messages[:turn], each.messages[turn][1]))
        for number, each in enumerate(conversations)
        for turn in each.replies
    ]


def kept_turns(
    conversations: Sequence[Conversation], by_style: Mapping[str, Mapping[bytes, RewriteRow]]
) -> dict[int, int]:
    """How many turns of each conversation every style keeps; those of which nothing is left are absent.

    A reply that any style rejects ends its conversation before the question that it answers: what follows refers to it.
    """
    ends: dict[int, int] = {}
    lost: set[int] = set()
    for place in places(conversations):
        if place.conversation in lost:
            continue
        if all(place.key in rows and rows[place.key].accepted for rows in by_style.values()):
            ends[place.conversation] = place.turn + 1
        else:
            lost.add(place.conversation)
    return ends


def rewritten(conversation: Conversation, end: int, rows: Mapping[bytes, RewriteRow]) -> Messages:
    """The first turns of a conversation with every reply as rewritten."""
    turns = []
    for turn, (role, content) in enumerate(conversation.messages[:end]):
        if role == "assistant":
            turns.append((role, rows[exchange_key(conversation.messages[:turn], content)].text))
        else:
            turns.append((role, content))
    return tuple(turns)


def training_lines(conversations: Sequence[Messages]) -> bytes:
    """The file that is trained on."""
    return "".join(
        json.dumps({"messages": [{"role": role, "content": content} for role, content in turns]}, ensure_ascii=False)
        + "\n"
        for turns in conversations
    ).encode()
