"""The parts of a text that a rewrite must not touch, and the prose between them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

_FENCE = re.compile(
    r"^[ \t]*(?P<mark>`{3,12}(?!`)|~{3,12}(?!~))[^\n]*\n(?:[^\n]*\n){0,2000}?[ \t]*(?P=mark)[ \t]*$", re.MULTILINE
)
_FENCE_MARK = re.compile(r"^[ \t]*(?:`{3}|~{3})", re.MULTILINE)
INLINE_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^\n]+?)(?<!`)\1(?!`)")
MATH = re.compile(
    r"\$\$.{1,2000}?\$\$|\\\[(?:(?!(?<!\\)\\\[).){1,2000}?\\\]|\\\((?:(?!\\\().){1,2000}?\\\)|(?<![\w$\\])\$(?=[^\s\d$])[^$\n]+?(?<!\s)\$(?![\w$])",
    re.DOTALL,
)
LINK = re.compile(
    r"\b(?:https?://|ftp://|www\.)[^\s<>\"'`\u201d]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE
)
QUOTE = re.compile(
    r"\"[^\"\n]{1,600}\"|\u201c[^\u201d\n]{1,600}\u201d|\u00ab[^\u00bb\n]{1,600}\u00bb|\u201e[^\u201c\u201d\n]{1,600}[\u201c\u201d]"
)
BLOCK_QUOTE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
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
_PROSE_START = re.compile(r"[A-Z][a-z']*(?: [a-z']+){4}")
_PROSE_ENDS = (".", "!", "?", ":")

Span = tuple[int, int]


def code_blocks(text: str) -> list[Span]:
    """Start and end of each fenced block, in order; one that nothing closes goes to the end of the text."""
    closed = [match.span() for match in _FENCE.finditer(text)]
    opened = next((at for mark in _FENCE_MARK.finditer(text) if not _inside(at := mark.start(), closed)), None)
    if opened is None:
        return closed
    return [*(span for span in closed if span[1] <= opened), (opened, len(text))]


def without_blocks(text: str) -> str:
    """The text with a blank line for each fenced block."""
    return _cut(text, code_blocks(text))


def without_code(text: str) -> str:
    """The text with a blank line for each code block and a space for each inline span."""
    text = without_blocks(text)
    return _blank(_cut(text, bare_code(text)), (INLINE_CODE,))


def prose(text: str) -> str:
    """The text without code, equations and links; quotations stay."""
    return _blank(without_code(text), (MATH, LINK))


def bare_code(text: str) -> list[Span]:
    """Start and end of each run of at least two lines of code outside fences; what is indented below one belongs to it."""
    found: list[Span] = []
    start = end = count = at = 0
    for line in text.split("\n"):
        stripped = line.strip()
        inside = count > 0 and (not stripped or line[0] in " \t")
        if stripped and not _is_prose(stripped) and (_is_code(stripped) or (inside and line[0] in " \t")):
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


def _is_prose(line: str) -> bool:
    return line.endswith(_PROSE_ENDS) and _PROSE_START.match(line) is not None


def change_prose(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to everything that is not code, equation, link or quotation."""
    kept: list[str] = []
    at = 0
    for start, end in _protected(text):
        kept += (change(text[at:start]), text[start:end])
        at = end
    kept.append(change(text[at:]))
    return "".join(kept)


def _protected(text: str) -> list[Span]:
    """What must not be touched, in order. Marks inside code mean nothing outside it: each kind is looked for outside the ones before."""
    blocks = code_blocks(text)
    rest = _hidden(text, blocks)
    bare = bare_code(rest)
    rest = _hidden(rest, bare)
    inline = [match.span() for match in INLINE_CODE.finditer(rest)]
    rest = _hidden(rest, inline)
    found = [match.span() for pattern in (MATH, LINK, QUOTE, BLOCK_QUOTE) for match in pattern.finditer(rest)]
    merged: list[Span] = []
    for start, end in sorted([*blocks, *bare, *inline, *found]):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _inside(at: int, spans: Sequence[Span]) -> bool:
    place = bisect_right(spans, at, key=lambda span: span[0]) - 1
    return place >= 0 and at < spans[place][1]


def _hidden(text: str, spans: Sequence[Span]) -> str:
    """The text with line ends in place of the spans: what is left stays where it is."""
    return _instead(text, spans, lambda part: "\n" * len(part))


def _cut(text: str, spans: Sequence[Span]) -> str:
    return _instead(text, spans, _gap)


def _blank(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for pattern in patterns:
        text = pattern.sub(lambda match: _gap(match[0]), text)
    return text


def _gap(part: str) -> str:
    return "\n\n" if "\n" in part else " "


def _instead(text: str, spans: Sequence[Span], change: Callable[[str], str]) -> str:
    parts: list[str] = []
    at = 0
    for start, end in spans:
        parts += (text[at:start], change(text[start:end]))
        at = end
    parts.append(text[at:])
    return "".join(parts)
