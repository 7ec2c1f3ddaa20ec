"""Text from models and files made safe for a terminal, and numbers made readable."""

from __future__ import annotations

from chassis.text import plain

_LONGEST_LINE = 2_000


def printable(text: str) -> str:
    """Every line without escape sequences and control characters, its indentation kept."""
    lines = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        lines.append(" " * indent + plain(line, _LONGEST_LINE))
    return "\n".join(lines)


def percent(share: float | None) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.1f} %"


def points(share: float | None) -> str:
    """A difference of shares in percentage points, signed; a dash where there is none."""
    return "–" if share is None else f"{100 * share:+.1f}"
