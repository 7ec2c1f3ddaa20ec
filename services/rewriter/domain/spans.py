"""The parts of a text that a rewrite must not touch, and the prose between them."""

from __future__ import annotations

import re
from collections.abc import Callable

FENCE = re.compile(
    r"^[ \t]*(?P<mark>`{3,12}(?!`)|~{3,12}(?!~))[^\n]*\n(?:[^\n]*\n){0,2000}?[ \t]*(?P=mark)[ \t]*$", re.MULTILINE
)
OPEN_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n]*(?:\n.*)?\Z", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^\n]+?)(?<!`)\1(?!`)")
MATH = re.compile(
    r"\$\$.{1,2000}?\$\$|\\\[.{1,2000}?\\\]|\\\(.{1,2000}?\\\)|(?<![\w$\\])\$(?=[^\s\d$])[^$\n]+?(?<!\s)\$(?![\w$])",
    re.DOTALL,
)
LINK = re.compile(r"\b(?:https?://|ftp://|www\.)[^\s<>\"'`\u201d]+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
QUOTE = re.compile(
    r"\"[^\"\n]{1,600}\"|\u201c[^\u201d\n]{1,600}\u201d|\u00ab[^\u00bb\n]{1,600}\u00bb|\u201e[^\u201c\u201d\n]{1,600}[\u201c\u201d]"
)
BLOCK_QUOTE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_CODE = (FENCE, OPEN_FENCE, INLINE_CODE)
_PROTECTED = (*_CODE, MATH, LINK, QUOTE, BLOCK_QUOTE)
# A line of code that nobody put into a fence: by its end, its first word, or its shape.
_CODE_LINE = re.compile(
    r"""[ \t]*(?:
      .*[;{}\]][ \t]*(?:(?://|\#).*)?$ | \}.* | \).* | //.* | /\*.* | \*/ | .*->\w+\(.*
    | (?:\#!/|\#include|<\?php|\?>|<!--|@\w+$|\$\s).*
    | </?[A-Za-z][\w-]*(?:\s[^>]*)?/?>.*
    | (?:def|class|function|import|from|using|namespace|package|public|private|protected|static|const|let|var|return|elif|else|try
        |except|finally|catch|fn|func|fun|struct|enum|interface|type|do|done|end|fi|then|begin)\b[^.!?]*[:;({})=,\w]$
    | (?:if|for|while|switch|case|with)\b[ \t]*(?:\(.*|[^.!?]*:)$
    | [A-Za-z_][\w.\[\]"']*[ \t]*(?:[-+*/%&|]?=|:=|<-)[ \t]*\S.*
    | [A-Za-z_][\w.]*\(.*\)[;,:]?$
    | (?:print|echo|SELECT|INSERT|UPDATE|DELETE|CREATE|FROM|WHERE|JOIN|ORDER[ ]BY|GROUP[ ]BY|puts)\b[ \t]*[\w"'(*$].*[^.!?]
    )""",
    re.VERBOSE,
)
_LONGEST_CODE_LINE = 400
_PROSE_LINE = re.compile(r"[A-Z][a-z']*(?: [a-z']+){4,}.*[.!?:]$")


def without_code(text: str) -> str:
    """The text with a blank line for each code block and a space for each inline span."""
    return _blank(_without_bare(_blank(text, (FENCE, OPEN_FENCE))), (INLINE_CODE,))


def prose(text: str) -> str:
    """The text without code, equations and links; quotations stay."""
    return _blank(without_code(text), (MATH, LINK))


def bare_code(text: str) -> list[tuple[int, int]]:
    """Start and end of each run of at least two lines of code outside fences; what is indented below one belongs to it."""
    found: list[tuple[int, int]] = []
    start = end = count = at = 0
    for line in text.split("\n"):
        stripped = line.strip()
        inside = count > 0 and (not stripped or line[0] in " \t")
        if stripped and not _PROSE_LINE.match(stripped) and (_is_code(stripped) or (inside and line[0] in " \t")):
            if not count:
                start = at
            count += 1
            end = at + len(line)
        elif stripped or not inside:
            if count > 1:
                found.append((start, end))
            count = 0
        at += len(line) + 1
    if count > 1:
        found.append((start, end))
    return found


def _is_code(line: str) -> bool:
    return len(line) <= _LONGEST_CODE_LINE and _CODE_LINE.match(line) is not None


def _without_bare(text: str) -> str:
    for start, end in reversed(bare_code(text)):
        text = f"{text[:start]}\n{text[end:]}"
    return text


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
    spans = [(match.start(), match.end()) for pattern in _PROTECTED for match in pattern.finditer(text)]
    found = sorted(spans + bare_code(text))
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
