"""Takes from the ledger what is known already: resume, reuse and re-analysis are this one scan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from services.orchestrator.domain.board import UNGRADED
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.ports import Outcome
from services.orchestrator.service.run.state import Run

_OUTCOMES_AT_ONCE = 5000


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
    outcomes = run.world.ledger.outcomes(subject.scope, run.grader.digest)
    while piece := list(islice(outcomes, _OUTCOMES_AT_ONCE)):
        ours = [outcome for outcome in piece if outcome.key in slots]
        if keep_failures:
            _take_failures(run, subject.name, [(slots[each.key], each.error_reason) for each in ours])
        replies = [outcome for outcome in ours if not outcome.error_reason]
        _count(run, subject.name, replies)
        run.board.arms[subject.name].restored(
            [slots[reply.key] for reply in replies],
            [reply.chars for reply in replies],
            [reply.verdict for reply in replies],
            [reply.adopts for reply in replies],
            [reply.decided_by for reply in replies],
        )


def _take_failures(run: Run, arm: str, reasons: Sequence[tuple[int, str]]) -> None:
    for slot, reason in reasons:
        if reason:
            run.board.arms[arm].failed(slot)
            run.teller.counts.arms[arm].failed[reason] += 1


def _count(run: Run, arm: str, replies: Sequence[Outcome]) -> None:
    counts = run.teller.counts
    found = counts.arms[arm]
    own = [reply for reply in replies if reply.evaluation_id == run.row.id]
    found.done += len(replies)
    found.reused += len(replies) - len(own)
    found.cut += sum(reply.finish_reason == "length" for reply in replies)
    found.prompt_tokens += sum(reply.prompt_tokens for reply in own)
    found.completion_tokens += sum(reply.completion_tokens for reply in own)
    counts.graded += sum(reply.verdict != "" for reply in replies)
    if len(own) < len(replies):
        oldest = min(reply.created for reply in replies if reply.evaluation_id != run.row.id)
        found.oldest_reuse = min(oldest, found.oldest_reuse or oldest)
