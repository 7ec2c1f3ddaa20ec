"""What a model is told, and how its text is read. Pure; the prompt is a versioned data file.

The reply must come back to the letter where it is code, so it cannot travel as a JSON string. It stands between marks that carry a
word which does not occur in it: no text can close its own part. Control marks of chat templates (`<|im_end|>`, `[INST]`) are
broken by an invisible joiner, which is taken out of the answer again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache

from services.rewriter.domain import data
from services.rewriter.domain.values import Exchange, Style

_JOINER = "\u2060"
_CONTROL = re.compile(
    r"<(?=[|/]|s>|think|bos|eos|start_of|end_of)|\[(?=/?(?:INST|SYSTEM|AVAILABLE|TOOL))", re.IGNORECASE
)
_MAX_ASKED_CHARS = 4_000
_MAX_REASONS = 8


def messages(exchange: Exchange, style: Style, reasons: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(role, content) turns of one attempt."""
    parts = {"asked": _shortened(exchange.asked), "reply": exchange.reply}
    if reasons:
        parts["problems"] = "\n".join(f"- {reason}" for reason in reasons[:_MAX_REASONS])
    word = _word(parts.values())
    shown = "\n\n".join(f"<<< {name} {word}\n{_safe(text)}\n>>> {name} {word}" for name, text in parts.items())
    return (("system", _system(style.instruction)), ("user", shown))


def read(text: str, exchange: Exchange) -> str:
    """The rewrite in a model's answer: without joiners, marks, and a fence around the whole that the reply has not."""
    found = text.replace(_JOINER, "").strip()
    found = re.sub(r"\A<<< reply \w+\n|\n>>> reply \w+\Z", "", found).strip()
    fenced = re.fullmatch(r"```(?:text|markdown)?\n(.*)\n```", found, re.DOTALL)
    if fenced and "```" not in exchange.reply and "```" not in fenced[1]:
        found = fenced[1].strip()
    return found


@cache
def digest() -> str:
    """SHA-256 of the prompt's data file."""
    return data.digest(data.raw("prompt.json"))


def _system(instruction: str) -> str:
    lines = "\n".join(data.table("prompt.json")["system"])
    return lines.replace("{style}", instruction.strip())


def _word(texts: Iterable[str]) -> str:
    """A word that occurs in none of the texts; equal texts get an equal one."""
    said = json.dumps(list(texts))
    number = 0
    while True:
        word = hashlib.sha256(f"{number}\x00{said}".encode()).hexdigest()[:12]
        if word not in said:
            return word
        number += 1


def _safe(text: str) -> str:
    return _CONTROL.sub(lambda match: match[0] + _JOINER, text)


def _shortened(text: str) -> str:
    """Long questions by their start and end: they only show whom the reply is for."""
    if len(text) <= _MAX_ASKED_CHARS:
        return text
    half = _MAX_ASKED_CHARS // 2
    return f"{text[:half]}\n[...]\n{text[-half:]}"
