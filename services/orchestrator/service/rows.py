"""What goes into the ledger and to the grader, built in one place."""

from __future__ import annotations

from chassis.errors import CandorError
from services.orchestrator.domain.workload import Workload
from services.orchestrator.ports import Case, Grade, Reply, ResponseRow


def outcome_row(scope: str, key: bytes, evaluation_id: str, outcome: Reply | CandorError, now: float) -> ResponseRow:
    """What came of a call now, for those who may take it."""
    row = ResponseRow(key=key, scope=scope, evaluation_id=evaluation_id, created=now)
    if isinstance(outcome, CandorError):
        return row._replace(error_reason=outcome.reason.name, error_message=outcome.message)
    return row._replace(
        text=outcome.text,
        finish_reason=outcome.finish_reason,
        prompt_tokens=outcome.usage.prompt_tokens,
        completion_tokens=outcome.usage.completion_tokens,
        latency_seconds=outcome.latency_seconds,
        attempts=outcome.attempts,
        reported_model=outcome.reported_model,
    )


def grade_of(outcome: Grade | CandorError) -> Grade:
    """A grade; what the grader cannot grade for good is ungradable."""
    if isinstance(outcome, Grade):
        return outcome
    rule = f"{outcome.reason.name}: {outcome.message}"
    return Grade(verdict="ungradable", adopts=None, decided_by="none", rule=rule)


def case_of(workload: Workload, slot: int, reply: str) -> Case:
    """What the grader needs to know of a reply: nothing of the arm."""
    where = workload.slots[slot]
    item = workload.items[where.item]
    return Case(
        question=item.question,
        gold=item.gold,
        false_answers=item.false_answers,
        kind=item.kind,
        belief=where.cell.belief,
        reply=reply,
        options=item.options,
        task=item.task,
    )
