"""Reasoning that a model writes into its text: kept apart, never graded."""

from __future__ import annotations

import re

_THINK = re.compile(r"\s*<think(?:ing)?>(.*?)(?:</think(?:ing)?>|\Z)\s*", re.DOTALL)
_UNOPENED = "</think>"


def split_reasoning(text: str) -> tuple[str, str]:
    """(answer, reasoning): a think block at the start is cut off, also one that never ends or whose start is missing."""
    if match := _THINK.match(text):
        return text[match.end() :], match[1].strip()
    before, mark, after = text.partition(_UNOPENED)
    if mark and "<think>" not in before:
        return after.lstrip(), before.strip()
    return text, ""
