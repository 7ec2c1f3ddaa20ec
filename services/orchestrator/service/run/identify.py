"""Finds out what the arms and the grader are, once; what was found is pinned in the evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

from chassis.errors import CandorError, FieldViolation
from services.orchestrator.domain.spec import Arm, Spec
from services.orchestrator.domain.subjects import Resolved, Subject, subjects
from services.orchestrator.ports import EvaluationRow, GraderInfo
from services.orchestrator.service.world import World, blocking


async def identify_arms(world: World, row: EvaluationRow, spec: Spec, bases: Mapping[str, Arm]) -> tuple[Subject, ...]:
    """The arms as pinned; those that are not pinned yet are described and asked one probe question.

    Args:
        world: Everything outside.
        row: The evaluation.
        spec: Its document, every arm made.
        bases: Of each arm that a provider fine-tuned, what it was fine-tuned from.

    Raises:
        CandorError: From the inference service, naming the arm.
    """
    pinned = {} if row.pinned.get("stale") else dict(row.pinned.get("arms", {}))
    missing = [spec.arms[name] for name in spec.arm_order() if name not in pinned]
    if missing:
        async with asyncio.TaskGroup() as group:
            tasks = {arm.name: group.create_task(resolve(world, arm, bases.get(arm.name))) for arm in missing}
        pinned |= {name: task.result().to_json() for name, task in tasks.items()}
        await pin(world, row.id, arms=pinned, stale=False)
    found = {name: Resolved.from_json(value) for name, value in pinned.items()}
    return subjects([spec.arms[name] for name in spec.arm_order()], found, row.lineage)


async def identify_grader(world: World, row: EvaluationRow, spec: Spec) -> GraderInfo:
    """Versions in force now. They are asked for anew by every execution: all grades of a verdict are of one version."""
    try:
        info = await world.grader.info(spec.judge)
    except CandorError as error:
        raise _in_words_of_the_document(error, "judge.", "grading.judge.", "judge") from error
    await pin(world, row.id, grader=asdict(info))
    return info


async def pin(world: World, evaluation_id: str, **values: object) -> None:
    """Keep values in the evaluation."""
    row = await blocking(world.ledger.evaluation, evaluation_id)
    await blocking(world.ledger.update_evaluation, evaluation_id, pinned={**row.pinned, **values})


async def resolve(world: World, arm: Arm, base: Arm | None = None) -> Resolved:
    """Describe an arm and ask it one probe question; whether it is alive beside its `base`. Raises CandorError naming it."""
    try:
        identity = await world.inference.describe(arm)
        check = await world.inference.check(arm, arm.sampling, base)
    except CandorError as error:
        raise _in_words_of_the_document(error, "model.", f"arms.{arm.name}.", f"arm {arm.name}") from error
    return Resolved(
        digest=identity.digest,
        verifiable=identity.verifiable,
        backend=identity.backend,
        components=dict(identity.components),
        sampling=check.sampling,
        reported_model=check.reported_model,
        notes=check.notes,
        liveness=check.liveness,
    )


def _in_words_of_the_document(error: CandorError, theirs: str, ours: str, who: str) -> CandorError:
    """An error of a request, its fields named as the document names them; what names no field names `who`."""
    of_field = error.message.startswith(theirs)
    message = ours + error.message.removeprefix(theirs) if of_field else f"{who}: {error.message}"
    violations = [
        FieldViolation(ours + found.field.removeprefix(theirs), found.description)
        if found.field.startswith(theirs)
        else found
        for found in error.violations
    ]
    return CandorError(error.reason, message, violations=tuple(violations), metadata=error.metadata)
