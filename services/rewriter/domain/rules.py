"""The embedded rewriter: openings, closings, replacements, removals. Deterministic, no model, and it shows.

It touches prose only: code, equations, links and quotations stay to the letter. What it cannot do: answer to what the person feels,
rephrase a sentence, or make a text cold that is warm all through.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from services.rewriter.domain import categories
from services.rewriter.domain.spans import bare_code, change_prose
from services.rewriter.domain.values import Exchange, Style, Turn

VERSION = "rules/2"
_SENTENCE = re.compile(r"\s*[^.!?\n]+(?:[.!?]+[\"'\u201d\u2019)]*(?=\s|$)|\n+|$)")
_BREAK = re.compile(r"[.!?][\"'\u201d)]*\s+|\n+")
_EXCLAIM = re.compile(r"(?<=[A-Za-z)])(\?)?!+(?=\s|$|[)\u201d])")
_BLOCK_START = re.compile(r"\s*(?:[-*+#>|]|\d+[.)]|[A-Za-z][.)]\s|`{3}|~{3}|\$\$)")
_LEAD = re.compile(r"^\s*(?:sure(?: thing)?|of course|certainly|absolutely|gladly|okay)\s*[,!]\s+(?=\S)", re.IGNORECASE)


def rewrite(exchange: Exchange, style: Style, seed: int, attempt: int) -> str:
    """The reply in a style. A later attempt takes other words, and from the second on replaces none."""
    reply = exchange.reply
    if style.unchanged:
        return reply
    text = reply.strip()
    if style.removals:
        text = _without_pleasantries(text, style.removals) or text
    if attempt == 1:
        if not style.exclaims:
            text = change_prose(text, lambda part: _EXCLAIM.sub(lambda match: match[1] or ".", part))
        text = _replace(text, style.replacements)
    draw = _draw(exchange, style, seed, attempt)
    code = "```" in reply or bare_code(reply)
    kind = "technical" if code else categories.of([*exchange.turns[-1:], Turn("assistant", reply)])
    openings = style.openings_for.get(kind) or style.openings
    if openings:
        text = f"{openings[draw % len(openings)]}{_gap(text, before=True)}{text}"
    if style.closings:
        text = f"{text}{_gap(text, before=False)}{style.closings[draw // 1009 % len(style.closings)]}"
    return text


def _draw(exchange: Exchange, style: Style, seed: int, attempt: int) -> int:
    said = "\x00".join((style.name, str(seed), str(attempt), exchange.asked, exchange.reply))
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big")


def _gap(text: str, *, before: bool) -> str:
    """A space beside running prose, an empty line beside a list, code, verse or several paragraphs."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1 or _BLOCK_START.match(lines[0] if before else lines[-1]):
        return "\n\n"
    return " "


def _replace(text: str, replacements: Mapping[str, str]) -> str:
    if not replacements:
        return text
    table = {source.lower(): target for source, target in replacements.items()}
    longest_first = sorted(table, key=len, reverse=True)
    words = "|".join(re.escape(word).replace("'", "['\u2019]").replace(r"\ ", r"\s+") for word in longest_first)
    # Short forms need a word after them: `what it's` cannot end a sentence.
    pattern = re.compile(rf"(?<![\w'\u2019-])(?:{words})(?![\w'\u2019-])(?P<next>(?=\s+[\w\"(*_])?)", re.IGNORECASE)

    def change(match: re.Match[str]) -> str:
        found = match[0]
        target = table[" ".join(found.replace("\u2019", "'").lower().split())]
        follows = re.match(r"\s+\w", match.string[match.end() :])
        if "'" in target and "n't" not in target and follows is None:
            return found
        if found[0].isupper() and not found.isupper():
            return target[0].upper() + target[1:]
        return target.upper() if found.isupper() and len(found) > 3 else target

    return change_prose(text, lambda part: pattern.sub(change, part))


def _without_pleasantries(text: str, removals: Sequence[str]) -> str:
    """The text without pleasant sentences at its start and end."""
    pattern = re.compile(r"(?:" + "|".join(removals) + r")\s*", re.IGNORECASE)

    def said(sentence: str) -> bool:
        return pattern.fullmatch(sentence.strip().replace("\u2019", "'")) is not None

    while (first := _SENTENCE.match(text)) and said(first[0]):
        text = text[first.end() :].lstrip()
    starts = [0, *(match.end() for match in _BREAK.finditer(text))]
    while starts and (not (last := text[starts[-1] :].strip()) or said(last)):
        text = text[: starts.pop()].rstrip()
    lead = _LEAD.match(text)
    if lead:
        text = text[lead.end() :]
        text = text[:1].upper() + text[1:]
    return text
