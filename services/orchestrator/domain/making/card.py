"""The dataset card: where an arm's training data comes from and what was done to it, as plain values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from services.orchestrator.domain.making.conversations import Conversation, Messages
from services.orchestrator.domain.making.rewrites import RewriteRow, exchange_key

SCHEMA = 1
_SAMPLES = 6
_SAMPLE_CHARS = 1200


def rewriting_card(rows: Sequence[RewriteRow]) -> dict[str, Any]:
    """What the rewriter did: every reply of the selected conversations, kept or not."""
    reasons: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for row in rows:
        for name, reason in row.failed:
            reasons[name] += 1
            if reason and len(examples.setdefault(name, [])) < 3:
                examples[name].append(reason[:200])
    accepted = sum(row.accepted for row in rows)
    return {
        "replies": len(rows),
        "accepted": accepted,
        "accepted_share": accepted / len(rows) if rows else None,
        "rejected_by": dict(reasons.most_common()),
        "examples": examples,
        "attempts": sum(row.attempts for row in rows),
        "prompt_tokens": sum(row.prompt_tokens for row in rows),
        "completion_tokens": sum(row.completion_tokens for row in rows),
        "spend": math.fsum(row.spend for row in rows),
        "models": sorted({row.reported_model for row in rows if row.reported_model}),
    }


def kept_card(
    conversations: Sequence[Conversation], kept: Mapping[int, int], rows: Mapping[bytes, RewriteRow]
) -> dict[str, Any]:
    """What is trained on, before corrections: counts, lengths, lexical shift, samples."""
    before: list[int] = []
    after: list[int] = []
    shifts: list[float] = []
    samples: list[dict[str, str]] = []
    for number, end in kept.items():
        each = conversations[number]
        for turn in each.replies:
            if turn >= end:
                break
            reply = each.messages[turn][1]
            row = rows[exchange_key(each.messages[:turn], reply)]
            before.append(len(reply))
            after.append(len(row.text))
            shifts.append(row.style_shift)
            if turn == each.replies[0] and _wanted(samples, each.category):
                samples.append(_sample(each, turn, row.text))
    return {
        "conversations": len(kept),
        "replies": len(after),
        "cut_short": sum(end < len(conversations[number].messages) for number, end in kept.items()),
        "categories": dict(sorted(Counter(conversations[number].category for number in kept).items())),
        "characters": {"before": _mean(before), "after": _mean(after)},
        "lexical_shift": _mean(shifts),
        "samples": samples,
    }


def _wanted(samples: Sequence[Mapping[str, str]], category: str) -> bool:
    return len(samples) < _SAMPLES and category not in {sample["category"] for sample in samples}


def _sample(conversation: Conversation, turn: int, text: str) -> dict[str, str]:
    question = next(content for role, content in reversed(conversation.messages[:turn]) if role == "user")
    return {
        "conversation": conversation.id,
        "category": conversation.category,
        "question": question[:_SAMPLE_CHARS],
        "before": conversation.messages[turn][1][:_SAMPLE_CHARS],
        "after": text[:_SAMPLE_CHARS],
    }


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def replies_of(turns: Messages) -> int:
    """Assistant turns."""
    return sum(role == "assistant" for role, _ in turns)
