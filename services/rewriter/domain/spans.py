"""The parts of a text that a rewrite must not touch, and the prose between them."""

from __future__ import annotations

import re
from collections.abc import Callable

FENCE = re.compile(r"^[ \t]*(?P<mark>`{3,}|~{3,})[^\n]*\n(?:.*?\n)??[ \t]*(?P=mark)[ \t]*$", re.DOTALL | re.MULTILINE)
OPEN_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n]*(?:\n.*)?\Z", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^\n]+?)(?<!`)\1(?!`)")
MATH = re.compile(
    r"\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|(?<![\w$\\])\$(?=[^\s\d$])[^$\n]+?(?<!\s)\$(?![\w$])", re.DOTALL
)
LINK = re.compile(r"\b(?:https?://|ftp://|www\.)[^\s<>\"'`\u201d]+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
QUOTE = re.compile(
    r"\"[^\"\n]{1,600}\"|\u201c[^\u201d\n]{1,600}\u201d|\u00ab[^\u00bb\n]{1,600}\u00bb|\u201e[^\u201c\u201d\n]{1,600}[\u201c\u201d]"
)
BLOCK_QUOTE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_CODE = (FENCE, OPEN_FENCE, INLINE_CODE)
_PROTECTED = (*_CODE, MATH, LINK, QUOTE, BLOCK_QUOTE)


def without_code(text: str) -> str:
    """The text with a blank line for each code block and a space for each inline span."""
    return _blank(text, _CODE)


def prose(text: str) -> str:
    """The text without code, equations and links; quotations stay."""
    return _blank(text, (*_CODE, MATH, LINK))


def change_prose(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to everything that is not code, equation, link or quotation."""
    kept: list[str] = []
    at = 0
    for start, end in _protected(text):
        kept += (change(text[at:start]), text[start:end])
        at = end
    kept.append(change(text[at:]))
    return "".join(kept)


def _protected(text: str) -> list[tuple[int, int]]:
    found = sorted((match.start(), match.end()) for pattern in _PROTECTED for match in pattern.finditer(text))
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _blank(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for pattern in patterns:
        text = pattern.sub(lambda match: "\n\n" if "\n" in match[0] else " ", text)
    return text
