"""Counts of grades: who decided, and what. A drifting judge shows as a changing share of one verdict among its own."""

from __future__ import annotations

from prometheus_client import Counter

from chassis.errors import CandorError
from chassis.metrics import Metrics
from services.grader.domain.answers.case import AnswerGrade, DecidedBy, Verdict


class GradeCounts:
    """Counts outcomes of grading.

    Args:
        metrics: Items and the judge's tokens are counted there, grades by who decided beside them.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        grades = Counter(
            "candor_grades", "Grades by who decided.", ["decided_by", "verdict"], registry=metrics.registry
        )
        self._items = {verdict: metrics.items.labels("grade", verdict.value) for verdict in Verdict}
        self._grades = {
            (who, verdict): grades.labels(who.value, verdict.value) for who in DecidedBy for verdict in Verdict
        }

    def count(self, outcome: AnswerGrade | CandorError) -> None:
        """One finished item."""
        if isinstance(outcome, CandorError):
            self._metrics.items.labels("grade", outcome.reason.name).inc()
            return
        self._items[outcome.verdict].inc()
        self._grades[outcome.decided_by, outcome.verdict].inc()
        if outcome.usage is not None:
            for kind in ("prompt", "completion", "reasoning"):
                self._metrics.tokens.labels(kind).inc(getattr(outcome.usage, f"{kind}_tokens") or 0)
