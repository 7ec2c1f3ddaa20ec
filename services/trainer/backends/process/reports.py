"""What a worker tells, as the port's reports."""

from __future__ import annotations

import json
from typing import Any

from chassis.errors import CandorError, Reason
from services.trainer.domain.job import Progress, Saved
from services.trainer.ports import Done, Kept, Merged, Report, Started, Stepped


def reports_of(line: bytes, *, past: bool = False) -> list[Report]:
    """The report in a line; none where the worker ended before its work did.

    Args:
        line: As `Channel.tell` writes it.
        past: Whether it was told before somebody listened.

    Raises:
        CandorError: The worker failed.
    """
    told = json.loads(line)
    kind = told.pop("kind")
    if kind == "failed":
        raise CandorError(Reason(told["reason"]), told["message"])
    if kind == "ended":
        return [Done()] if told["finished"] else []
    return [_report(kind, told, past=past)]


def _report(kind: str, values: dict[str, Any], *, past: bool) -> Report:
    if kind == "started":
        return Started(**values)
    if kind in ("stepped", "recalled"):
        return Stepped(Progress(**values), past=past or kind == "recalled")
    if kind == "merged":
        return Merged(**values)
    return Kept(Saved(**values))
