"""Scopes: which methods of which service a caller may use.

`grader` allows every method of the grader, `grader:read` those that only look, `grader:write` all that it has (who may
change may look), `grader/GradeAnswers` one method, `*` everything. Health is open to all, reflection to every caller
who is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SERVICES = ("rewriter", "trainer", "inference", "grader", "orchestrator")
EVERYTHING = "*"

_METHOD = re.compile(r"/candor\.(?P<service>\w+)\.v\d+\.\w+/(?P<method>\w+)")
_SCOPE = re.compile(r"(?P<service>[a-z]+)(?::(?P<effect>read|write)|/(?P<method>[A-Za-z]+))?")
# By the first word of a method's name (AIP-131, 132): a method that is added later is taken for one that changes.
# A plan is none of these: its pilot asks models.
_LOOKS = ("Get", "List", "Watch", "Describe")
_STARTS = ("Create", "Cancel", "Delete", "Upload", "Plan", "Calibrate")


def wrong(scope: str) -> str:
    """What is wrong with a scope, as the rest of a sentence; empty if it is one."""
    found = _SCOPE.fullmatch(scope)
    if scope != EVERYTHING and (found is None or found["service"] not in SERVICES):
        services = ", ".join(SERVICES)
        return f"is no scope: give *, SERVICE, SERVICE:read, SERVICE:write or SERVICE/Method, with SERVICE one of {services}"
    return ""


def needed(method: str) -> str:
    """The smallest scope by effect that allows a method (`/package.Service/Method`); empty where none is needed."""
    found = _METHOD.fullmatch(method)
    if found is None:
        return ""
    return f"{found['service']}:{'read' if found['method'].startswith(_LOOKS) else 'write'}"


def allows(scopes: Iterable[str], method: str) -> bool:
    """Whether a caller with these scopes may call a method."""
    found = _METHOD.fullmatch(method)
    if found is None:
        return True
    service, name = found["service"], found["method"]
    enough = {EVERYTHING, service, f"{service}:write", f"{service}/{name}", needed(method)}
    return not enough.isdisjoint(scopes)


def audited(method: str) -> bool:
    """Whether a method changes what is stored, or starts work of its own: who called it is worth a line in the audit log."""
    found = _METHOD.fullmatch(method)
    return found is not None and found["method"].startswith(_STARTS)


def short(method: str) -> str:
    """`orchestrator.CreateEvaluation` for `/candor.orchestrator.v1.OrchestratorService/CreateEvaluation`."""
    found = _METHOD.fullmatch(method)
    return f"{found['service']}.{found['method']}" if found else method.lstrip("/")
