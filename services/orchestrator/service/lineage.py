"""Whose replies a new evaluation takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.orchestrator.ports import EvaluationRow


def placed(fresh: EvaluationRow, earlier: Sequence[EvaluationRow]) -> EvaluationRow:
    """The evaluation in the lineage where it belongs.

    A finished evaluation of the same document under another gate lends its replies; nothing is asked twice. Under the same
    gate the document is asked anew.

    Args:
        fresh: Not started yet.
        earlier: Evaluations of the same document, newest first; those that were never started play no part.
    """
    last = next((row for row in earlier if row.attempt), None)
    if last is None or not last.finished or last.gate_digest == fresh.gate_digest:
        return replace(fresh, lineage=fresh.id)
    lent = {name: last.pinned[name] for name in ("arms", "made") if name in last.pinned}
    return replace(fresh, lineage=last.lineage, pinned=lent)
