"""Takes from the ledger what is known already: resume, reuse and re-analysis are this one scan."""

from __future__ import annotations

from collections.abc import Sequence

from services.orchestrator.domain.board import UNGRADED
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.ports import Outcomes
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
    slots = {key: slot for slot, key in enumerate(subject.keys(run.prepared.workload.slots))}
    for found in run.world.ledger.outcomes(subject.scope, run.grader.digest):
        places = [slots.get(key, -1) for key in found.key]
        if any(found.error_reason):
            failed = [row for row, reason in enumerate(found.error_reason) if reason and places[row] >= 0]
            if keep_failures:
                _failed(run, subject, [places[row] for row in failed], found.at(failed))
        if min(places) < 0 or any(found.error_reason):
            rows = [row for row, reason in enumerate(found.error_reason) if not reason and places[row] >= 0]
            _answered(run, subject, [places[row] for row in rows], found.at(rows))
        else:
            _answered(run, subject, places, found)


def _failed(run: Run, subject: Subject, slots: Sequence[int], found: Outcomes) -> None:
    for slot, reason in zip(slots, found.error_reason, strict=True):
        run.board.arms[subject.name].failed(slot)
        run.teller.counts.arms[subject.name].failed[reason] += 1


def _answered(run: Run, subject: Subject, slots: Sequence[int], found: Outcomes) -> None:
    counts = run.teller.counts
    arm = counts.arms[subject.name]
    run.board.arms[subject.name].load(slots, found.chars, found.verdict, found.adopts, found.decided_by)
    arm.done += len(slots)
    arm.cut += sum(reason == "length" for reason in found.finish_reason)
    counts.graded += sum(verdict != "" for verdict in found.verdict)
    others = [row for row, owner in enumerate(found.evaluation_id) if owner != run.row.id]
    taken = found.at(others)
    arm.prompt_tokens += sum(found.prompt_tokens) - sum(taken.prompt_tokens)
    arm.completion_tokens += sum(found.completion_tokens) - sum(taken.completion_tokens)
    counts.judge_prompt_tokens += sum(found.judge_prompt_tokens) - sum(taken.judge_prompt_tokens)
    counts.judge_completion_tokens += sum(found.judge_completion_tokens) - sum(taken.judge_completion_tokens)
    if others:
        arm.reused += len(others)
        arm.oldest_reuse = min(*taken.created, arm.oldest_reuse or taken.created[0])
