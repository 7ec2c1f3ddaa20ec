"""Formulas and equations survive; spaces do not count. None is added."""

from __future__ import annotations

import re

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import Text, joined, listed
from services.rewriter.domain.spans import LINK, MATH

_SIGN = re.compile(r"[=\u2248\u2260\u2264\u2265<>]+|->|\u2192")
_ATOM = r"[-+]?[$\u20ac\u00a3]?\(*[\w.,]*\w(?:[\^\u00b0\u00b2\u00b3%!)']|\([\w,]*\))*"
_ARITHMETIC = rf"{_ATOM}(?:\s*[-+*/\u00d7\u00f7\u00b7^]\s*{_ATOM})*"
_LEFT = re.compile(rf"{_ARITHMETIC}\s*\Z")
_RIGHT = re.compile(rf"\s*{_ARITHMETIC}")
# The left side is looked for so far back from the sign.
_REACH = 80


def check(case: Case) -> str:
    """See the module."""
    before, after, said = _formulas(case.before), _formulas(case.after), _formulas(case.said)
    lost = [formula for formula in before if formula not in after]
    added = [formula for formula in after if formula not in before and formula not in said]
    return joined(listed(lost, "lost"), listed(added, "added"))


def _formulas(text: Text) -> dict[str, None]:
    """In order, each once."""
    plain = LINK.sub(" ", text.outside_code)
    found = ["".join(match[0].split()) for match in MATH.finditer(plain)]
    for line in MATH.sub("\n", plain).split("\n"):
        found += _relations(line)
    return dict.fromkeys(found)


def _relations(line: str) -> list[str]:
    """`a = b` with the term right before the sign and the term right after it, and what arithmetic joins to them."""
    signs = list(_SIGN.finditer(line))
    found = []
    for sign in signs:
        left, right = _before(line[: sign.start()]), _after(line[sign.end() :])
        if left and right:
            found.append(f"{left}{sign[0]}{right}")
    return found


def _before(text: str) -> str:
    match = _LEFT.search(text[-_REACH:])
    return _squeezed(match[0]) if match else ""


def _after(text: str) -> str:
    match = _RIGHT.match(text[:_REACH])
    return _squeezed(match[0]).rstrip(".,") if match else ""


def _squeezed(text: str) -> str:
    return "".join(text.split())
