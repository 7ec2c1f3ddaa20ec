"""What goes into the ledger and to the grader, built in one place."""

from __future__ import annotations

from chassis.errors import CandorError
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.domain.workload import Workload
from services.orchestrator.ports import Case, Grade, Reply, ResponseRow


def reply_row(subject: Subject, key: bytes, evaluation_id: str, reply: Reply, now: float) -> ResponseRow:
    """A reply that arrived now."""
    return ResponseRow(
        key=key,
        scope=subject.scope,
        evaluation_id=evaluation_id,
        text=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.usage.prompt_tokens,
        completion_tokens=reply.usage.completion_tokens,
        latency_seconds=reply.latency_seconds,
        attempts=reply.attempts,
        reported_model=reply.reported_model,
        created=now,
    )


def failure_row(subject: Subject, key: bytes, evaluation_id: str, error: CandorError, now: float) -> ResponseRow:
    """A call that failed for good in this run."""
    return ResponseRow(
        key=key,
        scope=subject.scope,
        evaluation_id=evaluation_id,
        error_reason=error.reason.name,
        error_message=error.message,
        created=now,
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
