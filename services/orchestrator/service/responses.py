"""ListResponses: replies and grades of an evaluation in the order of its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from chassis.errors import FieldViolation, invalid
from chassis.requests import MESSAGE_CHARS
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.subjects import Resolved, subjects
from services.orchestrator.service.prepare import prepare
from services.orchestrator.service.queries import checked_size, read_token, write_token
from services.orchestrator.service.records import Records
from services.orchestrator.service.world import World, blocking

_KEPT = 4


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Records; `next_token` is empty on the last page."""

    records: list[Record]
    next_token: str


class _Basis(NamedTuple):
    """What decides which replies and grades are an evaluation's."""

    lineage: str
    arms: Mapping[str, Any]
    grader_digest: str


class Responses:
    """Pages of responses. Keeps the slots of the evaluations read last, so that a page does not load the tasks again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[str, tuple[_Basis, Records]] = {}

    async def page(self, evaluation_id: str, arm: str, page_size: int, page_token: str) -> RecordPage:
        """A page, in a stable order; it ends early where replies are long.

        Raises:
            CandorError: EVALUATION_NOT_FOUND, INVALID_REQUEST (arm, size, token).
        """
        size = checked_size(page_size, 100)
        kind = f"responses/{evaluation_id}/{arm}"
        place = read_token(page_token, kind, 1)[0] if page_token else 0
        found = await self._records(evaluation_id)
        names = [subject.name for subject in found.subjects]
        if arm and names and arm not in names:
            raise invalid("there is no such arm", [FieldViolation("arm", f"{arm!r} is not one of {', '.join(names)}")])
        return await blocking(_page, found, arm, size, kind, int(str(place)))

    async def _records(self, evaluation_id: str) -> Records:
        row = await blocking(self._world.ledger.evaluation, evaluation_id)
        pinned = row.pinned.get("arms", {})
        grader = row.pinned.get("grader", {}).get("digest", "")
        basis = _Basis(row.lineage, pinned, grader)
        kept = self._kept.get(evaluation_id)
        if kept is not None and kept[0] == basis:
            return kept[1]
        spec = self._world.codec.decode(row.spec)
        prepared = await prepare(self._world, spec, row.limit)
        resolved = {name: Resolved.from_json(value) for name, value in pinned.items()}
        arms = [spec.arms[name] for name in spec.arm_order() if name in resolved]
        found = Records(
            ledger=self._world.ledger,
            workload=prepared.workload,
            subjects=subjects(arms, resolved, row.lineage),
            grader_digest=grader,
        )
        self._kept[evaluation_id] = (basis, found)
        while len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return found


def _page(found: Records, arm: str, size: int, kind: str, place: int) -> RecordPage:
    chosen = [subject for subject in found.subjects if not arm or subject.name == arm]
    slots = len(found.workload.slots)
    records: list[Record] = []
    characters = 0
    step = max(1, size // max(1, len(chosen)))
    while place < slots and len(records) + len(chosen) <= max(size, len(chosen)):
        for slot, more in found.by_slot(range(place, min(slots, place + step)), chosen).items():
            characters += sum(map(_characters, more))
            if records and characters > MESSAGE_CHARS:
                return RecordPage(records, write_token(kind, slot))
            records += more
            place = slot + 1
        step = max(1, (size - len(records)) // max(1, len(chosen)))
    return RecordPage(records, write_token(kind, place) if place < slots and chosen else "")


def _characters(record: Record) -> int:
    """Characters of all that may be long."""
    long = (record.question, record.reply, record.error_message, record.rule, record.final_claim, record.judge_raw)
    return sum(map(len, long)) + sum(len(content) for _, content in record.prompt)
