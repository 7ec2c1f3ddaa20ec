"""Cells of a table from elsewhere as values: each function takes the cell's text and raises BadCellError with the mend."""

from __future__ import annotations

import math
import re

from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.statistics.pairs import UNDECIDED, UNGRADABLE, VERDICTS

_YES = frozenset(("1", "1.0", "true", "yes"))
_NO = frozenset(("0", "0.0", "false", "no"))
_LEVELS = {name.partition(":")[2]: name for name in CONTEXTS[1:]} | {
    "happiness": "emotion:happy",
    "sadness": "emotion:sad",
    "angry": "emotion:anger",
    "closeness": "relation:close",
}
_PLAIN = ("none", "neutral", "plain", "no", "nan", "null")
_VERDICT_CODES = {name: code for code, name in enumerate(VERDICTS)}


class BadCellError(ValueError):
    """A cell cannot be read; the message says what it may be."""


def name(text: str) -> str:
    """A name, which must be there."""
    if not text:
        raise BadCellError("give a name")
    return text


def context(text: str) -> str:
    """A context by its name, or by its level alone, in any spelling. Raises BadCellError."""
    words = re.findall("[a-z]+", text.lower())
    if not text or " ".join(words) in _PLAIN:
        return "none"
    found = {_LEVELS[word] for word in words if word in _LEVELS}
    if len(found) != 1:
        raise BadCellError(f"is no context; use {', '.join(CONTEXTS)}")
    return found.pop()


def belief(text: str) -> str:
    """A belief level; nothing is none."""
    if blank(text):
        return "none"
    if text not in BELIEFS:
        raise BadCellError(f"is no belief level; use {', '.join(BELIEFS)}")
    return text


def stated(text: str) -> str:
    """Whether a false belief was stated, as a belief level."""
    return "asserts_false" if yes_no(text) else "none"


def treated(text: str) -> str:
    """Whether the arm was treated, as its name."""
    return "treated" if yes_no(text) else "original"


def verdict(text: str) -> int:
    """Code of a verdict; nothing is ungradable."""
    if not text:
        return UNGRADABLE
    if text.lower() not in _VERDICT_CODES:
        raise BadCellError(f"is no verdict; use {', '.join(VERDICTS)}")
    return _VERDICT_CODES[text.lower()]


def yes_no(text: str) -> bool:
    """0 or 1, in any common spelling; nothing is 0."""
    if text.lower() in _YES:
        return True
    if text.lower() in _NO or blank(text):
        return False
    raise BadCellError("must be 0 or 1")


def decided(text: str) -> int:
    """1, 0, or UNDECIDED."""
    return UNDECIDED if blank(text) else int(yes_no(text))


def blank(cell: object) -> bool:
    """Whether a cell says nothing."""
    return cell is None or str(cell).strip().lower() in ("", "nan", "none", "null")


def whole(text: str) -> int:
    """A count; nothing is 0."""
    if blank(text):
        return 0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0.0 <= value < 2**31 and value == int(value)):
        raise BadCellError("must be a whole number, 0 or more")
    return int(value)


def real(text: str) -> float:
    """A number; nothing is NaN."""
    if blank(text):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise BadCellError("must be a number") from None
