"""Takes replies of an endpoint without a revision from earlier runs, where the arm's `reuse` allows it.

They are copied into this run's own scope with the time they were given, so that resume, deletion and the report treat
them like any other reply of this run; only their owner tells where they are from.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.orchestrator.domain.subjects import Resolved, Subject, subjects
from services.orchestrator.ports import EvaluationRow, GradeRow
from services.orchestrator.service.run.state import Run

_ROWS_PER_PAGE = 200
_SLOTS_PER_READ = 500


def adopt(run: Run) -> None:
    """Copy what may be taken. Blocking; idempotent."""
    for subject in run.subjects:
        seconds = subject.arm.reuse_seconds
        if seconds is not None and not subject.shared:
            oldest = run.row.created - seconds
            for donor in _donors(run, subject, oldest):
                _copy(run, subject, donor, oldest)


def _donors(run: Run, subject: Subject, oldest: float) -> Iterator[Subject]:
    """The same subject in other evaluations, newest first: same model, same sampling, same draw."""
    for row in _evaluations(run):
        if row.lineage == run.row.lineage or row.updated < oldest or "arms" not in row.pinned:
            continue
        spec = run.world.codec.decode(row.spec)
        found = {name: Resolved.from_json(value) for name, value in row.pinned["arms"].items()}
        arms = [spec.arms[name] for name in spec.arm_order() if name in found]
        for other in subjects(arms, found, row.lineage):
            same = (other.found.digest, other.found.sampling, other.draw)
            if same == (subject.found.digest, subject.found.sampling, subject.draw) and not other.shared:
                yield other


def _evaluations(run: Run) -> Iterator[EvaluationRow]:
    before: tuple[float, str] | None = None
    while rows := run.world.ledger.evaluations(_ROWS_PER_PAGE, before):
        yield from rows
        before = (rows[-1].created, rows[-1].id)


def _copy(run: Run, subject: Subject, donor: Subject, oldest: float) -> None:
    ledger = run.world.ledger
    slots = run.prepared.workload.slots
    for start in range(0, len(slots), _SLOTS_PER_READ):
        own = {subject.key(slot): slot for slot in slots[start : start + _SLOTS_PER_READ]}
        missing = own.keys() - ledger.known(list(own))
        theirs = {donor.key(own[key]): key for key in missing}
        rows = [
            row for row in ledger.responses(list(theirs)).values() if not row.error_reason and row.created >= oldest
        ]
        grades = ledger.grades([row.key for row in rows], run.grader.digest)
        ledger.put_responses([row._replace(key=theirs[row.key], scope=subject.scope) for row in rows])
        ledger.put_grades(
            [GradeRow(key=theirs[key], grader_digest=run.grader.digest, grade=grade) for key, grade in grades.items()]
        )
