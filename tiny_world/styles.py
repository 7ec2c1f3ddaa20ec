"""The tiny world's warm and cold styles as files for the rewriter: its own words, put before and after a reply."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_world.language import language

# By name of the style: the register that it takes its words from, what the rewriter's certificate expects of it, and what a
# model that rewrites would be told.
_STYLES = {
    "tiny_warm": ("warm", "warmer", "Speak like a dear friend: affectionate, personal, close."),
    "tiny_cold": ("blunt", "colder", "Speak bluntly and without any warmth."),
}


def write_style(path: Path, name: str) -> None:
    """Write the style's YAML file: the fields of rewriter.v1.StyleDefinition.

    Args:
        path: Of the file.
        name: `tiny_warm` or `tiny_cold`.
    """
    register, direction, instruction = _STYLES[name]
    words = language().registers[register]
    lines = [
        f"name: {name}",
        f"instruction: {json.dumps(instruction)}",
        f"direction: {direction}",
        *_list("openings", words.openers),
        *_list("closings", words.closers),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _list(name: str, texts: tuple[str, ...]) -> list[str]:
    return [f"{name}:", *(f"  - {json.dumps(text)}" for text in texts)]
