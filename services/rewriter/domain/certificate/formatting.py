"""No lists, headings, tables or bold text that the reply did not have, and its lists and tables stay."""

from __future__ import annotations

import re

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import Text

_KINDS = {
    "list item": re.compile(r"^[ \t]*(?:[-*+\u2022\u25aa\u25e6]|\(?\d{1,3}[.)]|[a-z][.)])[ \t]+\S", re.MULTILINE),
    "heading": re.compile(r"^[ \t]*#{1,6}[ \t]+\S|^[ \t]*\*\*[^*\n]{1,80}\*\*:?[ \t]*$", re.MULTILINE),
    "table row": re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.MULTILINE),
    "bold text": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
}
_NUMBERED = re.compile(r"^[ \t]*(?:\*\*)?\(?(\d{1,3})[.)](?=[ \t*])", re.MULTILINE)
_KEPT = ("list item", "table row")


def check(case: Case) -> str:
    """See the module."""
    found = []
    for name, pattern in _KINDS.items():
        before, after = _count(pattern, case.before), _count(pattern, case.after)
        if after > before:
            found.append(f"{after - before} {name}{_plural(after - before, name)} added")
        elif name in _KEPT and after < before:
            found.append(f"{before - after} {name}{_plural(before - after, name)} lost")
    marks, now = (_NUMBERED.findall(text.outside_code) for text in (case.before, case.after))
    if not found and marks != now:
        found.append("the list is numbered otherwise")
    return "; ".join(found)


def _count(pattern: re.Pattern[str], text: Text) -> int:
    return len(pattern.findall(text.outside_code))


def _plural(count: int, name: str) -> str:
    return "" if count == 1 or name == "bold text" else "s"
