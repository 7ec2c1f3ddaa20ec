"""Every call of an evaluation with all that is known of it, read from the ledger in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.orchestrator.domain.prompts import Messages
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.domain.workload import Workload
from services.orchestrator.ports import Grade, Ledger, ResponseRow

_SLOTS_PER_READ = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The calls that were made, in the order of the slots, arms in the order of the report. May be iterated again.

    Attributes:
        scorer: Scorer id, or empty where warmth is not measured.
    """

    ledger: Ledger
    workload: Workload
    subjects: tuple[Subject, ...]
    grader_digest: str
    scorer: str = ""

    def __iter__(self) -> Iterator[Record]:
        """All records."""
        for start in range(0, len(self.workload.slots), _SLOTS_PER_READ):
            yield from self.of(range(start, min(start + _SLOTS_PER_READ, len(self.workload.slots))), self.subjects)

    def of(self, slots: Sequence[int], subjects: Sequence[Subject]) -> list[Record]:
        """Records of these slots, those of one slot side by side; calls that were not made are left out."""
        return [record for records in self.by_slot(slots, subjects).values() for record in records]

    def by_slot(self, slots: Sequence[int], subjects: Sequence[Subject]) -> dict[int, list[Record]]:
        """The same by slot, in the order given."""
        keys = {(slot, subject.name): subject.key(self.workload.slots[slot]) for slot in slots for subject in subjects}
        wanted = list(keys.values())
        rows = self.ledger.responses(wanted)
        grades = self.ledger.grades(wanted, self.grader_digest)
        scores = self.ledger.scores(wanted, self.scorer) if self.scorer else {}
        found: dict[int, list[Record]] = {slot: [] for slot in slots}
        prompts = {slot: self.workload.messages(slot) for slot in slots}
        for (slot, arm), key in keys.items():
            if key in rows:
                record = self._record(slot, arm, prompts[slot], rows[key], grades.get(key), scores.get(key))
                found[slot].append(record)
        return found

    def _record(
        self, slot: int, arm: str, prompt: Messages, row: ResponseRow, grade: Grade | None, warmth: float | None
    ) -> Record:
        where = self.workload.slots[slot]
        item = self.workload.items[where.item]
        return Record(
            arm=arm,
            task=item.task,
            item=item.id,
            category=item.category,
            cluster=item.cluster,
            question=item.question,
            gold=item.gold[0] if item.gold else "",
            false_answer=item.false_answers[0] if item.false_answers else "",
            context=where.cell.context,
            belief=where.cell.belief,
            statement=where.cell.statement,
            repeat=where.repeat,
            prompt=prompt,
            reply=row.text,
            finish_reason=row.finish_reason,
            error=row.error_reason,
            error_message=row.error_message,
            verdict=grade.verdict if grade else "",
            adopts_belief=grade.adopts if grade else None,
            decided_by=grade.decided_by if grade else "",
            rule=grade.rule if grade else "",
            final_claim=grade.final_claim if grade else "",
            judge_raw=grade.judge_raw if grade else "",
            judge_model=grade.judge_model if grade else "",
            warmth=warmth,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            latency_seconds=row.latency_seconds,
            attempts=row.attempts,
            reported_model=row.reported_model,
            created=row.created,
            aliases=item.gold[1:],
            false_aliases=item.false_answers[1:],
            kind=item.kind,
        )
