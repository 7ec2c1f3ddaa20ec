"""Replies from completions of an OpenAI-compatible server."""

from __future__ import annotations

from chassis import llm
from services.inference.domain.model import Reply, Usage


def reply_of(found: llm.Completion) -> Reply:
    """A completion as a reply."""
    return Reply(
        text=found.text,
        finish_reason=found.finish_reason,
        reasoning=found.reasoning,
        usage=Usage(
            prompt_tokens=found.usage.prompt_tokens,
            completion_tokens=found.usage.completion_tokens,
            reasoning_tokens=found.usage.reasoning_tokens,
        ),
        latency_seconds=found.latency_seconds,
        attempts=found.attempts,
        reported_model=found.reported_model,
    )
