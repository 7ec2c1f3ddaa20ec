"""Takes from the ledger what is known already: resume, reuse and re-analysis are this one scan."""

from __future__ import annotations

from services.orchestrator.domain.board import MISSING, UNGRADED
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.service.run.state import Run


def load(run: Run, *, keep_failures: bool) -> None:
    """Fill the board and the counts. Blocking.

    Args:
        run: The run.
        keep_failures: Failed calls stay failed (a re-analysis asks nothing again); otherwise they are asked again.
    """
    for subject in run.subjects:
        _load(run, subject, keep_failures=keep_failures)


def ungraded(run: Run, arm: str) -> list[int]:
    """Slots with a reply and without a grade."""
    return [int(slot) for slot in (run.board.arms[arm].verdict == UNGRADED).nonzero()[0]]


def _load(run: Run, subject: Subject, *, keep_failures: bool) -> None:
    slots = {subject.key(slot): index for index, slot in enumerate(run.prepared.workload.slots)}
    board = run.board.arms[subject.name]
    counts = run.teller.counts
    arm = counts.arms[subject.name]
    for outcome in run.world.ledger.outcomes(subject.scope, run.grader.digest):
        slot = slots.get(outcome.key)
        if slot is None:
            continue
        if outcome.error_reason:
            if keep_failures:
                board.failed(slot)
                arm.failed[outcome.error_reason] += 1
            continue
        board.answered(slot, outcome.chars)
        arm.done += 1
        arm.cut += outcome.finish_reason == "length"
        if outcome.evaluation_id == run.row.id:
            arm.prompt_tokens += outcome.prompt_tokens
            arm.completion_tokens += outcome.completion_tokens
        else:
            arm.reused += 1
            arm.oldest_reuse = min(outcome.created, arm.oldest_reuse or outcome.created)
        if outcome.verdict:
            board.graded(slot, outcome.verdict, outcome.adopts, outcome.decided_by)
            counts.graded += 1
    assert board.verdict.size == 0 or board.verdict.min() >= MISSING
