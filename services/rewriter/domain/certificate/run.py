"""All checks in order, and their version."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module, resources

from services.rewriter.domain import data
from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.values import Check, Exchange, Style

CHECKS = (
    "numbers",
    "links",
    "code",
    "equations",
    "names",
    "quotes",
    "negations",
    "hedges",
    "length",
    "formatting",
    "emoji",
    "task",
    "style",
)


def certify(exchange: Exchange, text: str, style: Style, *, cut: bool = False) -> tuple[Check, ...]:
    """Every check of a rewrite, in the order of CHECKS."""
    case = Case(exchange, text, style, cut)
    if not text.strip():
        # Everything is lost; one reason says so better than thirteen.
        why = "no text within the token limit; raise sampling.max_tokens" if cut else "the rewrite is empty"
        return tuple(Check(name, why if name == "task" else "") for name in CHECKS)
    return tuple(Check(name, check(case)) for name, check in _checks())


def nothing_changed() -> tuple[Check, ...]:
    """The certificate of a reply that is its own rewrite."""
    return tuple(Check(name) for name in CHECKS)


@cache
def version() -> str:
    """Digest of the checks' code and data: another rule is another certificate."""
    folder = resources.files(__package__)
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".py")), key=lambda file: file.name)
    files += [resources.files("services.rewriter.domain") / name for name in ("spans.py", "warmth.py")]
    parts = [file.name.encode() + b"\x00" + file.read_bytes() for file in files]
    return data.digest(*parts, *(data.raw(name) for name in ("certificate.json", "warmth.json")))


@cache
def _checks() -> tuple[tuple[str, Callable[[Case], str]], ...]:
    return tuple((name, import_module(f"{__package__}.{name}").check) for name in CHECKS)
