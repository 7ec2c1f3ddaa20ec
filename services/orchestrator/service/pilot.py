"""The pilot: 20 baseline replies that show which share the deterministic grader decides."""

from __future__ import annotations

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.spec import document_digest, gate_digest
from services.orchestrator.domain.subjects import Resolved, Subject, subjects
from services.orchestrator.ports import EvaluationRow, Grade, GradeRow, Prompt, ResponseRow
from services.orchestrator.service.lineage import placed
from services.orchestrator.service.prepare import Prepared
from services.orchestrator.service.rows import case_of, outcome_row
from services.orchestrator.service.run.identify import pin, resolve
from services.orchestrator.service.world import World, blocking

REPLIES = 20


async def pilot_share(world: World, prepared: Prepared, data: bytes) -> float | None:
    """Share of the pilot's replies that the deterministic grader decided; None if none of them came.

    The replies belong to an evaluation that waits for its start, so that Create of the same document goes on from them.

    Raises:
        CandorError: EVALUATION_RUNNING; whatever inference or grader say.
    """
    row = await _evaluation(world, prepared, data)
    subject = await _baseline(world, prepared, row)
    workload = prepared.workload
    slots = _chosen(prepared)
    keys = {subject.key(workload.slots[slot]): slot for slot in slots}
    known = await blocking(world.ledger.responses, list(keys))
    texts = {key: stored.text for key, stored in known.items() if not stored.error_reason}
    missing = [key for key in keys if key not in texts]
    texts |= await _ask(world, prepared, row, subject, {key: keys[key] for key in missing})
    return await _graded(world, prepared, {keys[key]: (key, text) for key, text in texts.items()})


def _chosen(prepared: Prepared) -> list[int]:
    """One slot of each of the first units, another cell each time."""
    workload = prepared.workload
    chosen = []
    for unit in range(min(REPLIES, workload.units)):
        start, stop = workload.upto(unit), workload.upto(unit + 1)
        if stop > start:
            chosen.append(start + unit % (stop - start))
    return chosen


async def _evaluation(world: World, prepared: Prepared, data: bytes) -> EvaluationRow:
    new = world.new_id()
    fresh = EvaluationRow(
        id=new,
        lineage=new,
        spec=data,
        document_digest=document_digest(prepared.spec, prepared.limit),
        gate_digest=gate_digest(prepared.spec),
        limit=prepared.limit,
        reason="a pilot; the run has not been started",
        created=world.clock(),
    )
    earlier = await blocking(world.ledger.by_document, fresh.document_digest)
    row, _ = await blocking(world.ledger.create_evaluation, placed(fresh, earlier), resume=True)
    if row.active:
        message = f"evaluation {row.id} of this document is under way; its own replies say more than a pilot"
        raise CandorError(Reason.EVALUATION_RUNNING, message)
    return row


async def _baseline(world: World, prepared: Prepared, row: EvaluationRow) -> Subject:
    name = prepared.spec.baseline
    arm = prepared.spec.arms[name]
    pinned = dict(row.pinned.get("arms", {}))
    if name not in pinned:
        pinned[name] = (await resolve(world, arm)).to_json()
        await pin(world, row.id, arms=pinned)
    return subjects([arm], {name: Resolved.from_json(pinned[name])}, row.lineage)[0]


async def _ask(
    world: World, prepared: Prepared, row: EvaluationRow, subject: Subject, wanted: dict[bytes, int]
) -> dict[bytes, str]:
    workload = prepared.workload
    keys = list(wanted)
    if not keys:
        return {}
    prompts = [
        Prompt(messages=workload.messages(slot), seed=subject.seed(workload.slots[slot])) for slot in wanted.values()
    ]
    rows: list[ResponseRow] = []
    last: CandorError | None = None
    try:
        async for index, outcome in world.inference.generate(
            subject.arm, subject.found.sampling, subject.found.digest, prompts
        ):
            if isinstance(outcome, CandorError):
                last = outcome
                continue
            rows.append(outcome_row(subject.scope, keys[index], row.id, outcome, world.clock()))
    finally:
        await blocking(world.ledger.put_responses, rows)
    if not rows and last is not None:
        raise last
    return {stored.key: stored.text for stored in rows}


async def _graded(world: World, prepared: Prepared, texts: dict[int, tuple[bytes, str]]) -> float | None:
    """Grade without the judge: what the deterministic grader leaves undecided is what a judge would have to do."""
    info = await world.grader.info(None)
    slots = list(texts)
    cases = [case_of(prepared.workload, slot, texts[slot][1]) for slot in slots]
    grades: list[GradeRow] = []
    async for index, outcome in world.grader.grade(cases, None, prepared.spec.refusal_profile):
        if isinstance(outcome, Grade):
            grades.append(GradeRow(key=texts[slots[index]][0], grader_digest=info.digest, grade=outcome))
    await blocking(world.ledger.put_grades, grades)
    decided = sum(row.grade.decided_by == "deterministic" for row in grades)
    return decided / len(grades) if grades else None
