"""PlanEvaluation: what a run would ask and cost, and whether it can conclude."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chassis.errors import CandorError, FieldViolation, invalid
from services.orchestrator.domain.gate.power import GatePower
from services.orchestrator.domain.spec import Arm, Checkpoint, Sft, Spec, document_digest, gate_digest
from services.orchestrator.domain.subjects import Resolved, subjects
from services.orchestrator.domain.workload import TaskShape
from services.orchestrator.ports import EvaluationRow
from services.orchestrator.service.pilot import pilot_share
from services.orchestrator.service.power import Cost, cost_of, power_of
from services.orchestrator.service.prepare import Prepared, check, prepare
from services.orchestrator.service.recipes.planning import GroupPlan, plan_making
from services.orchestrator.service.world import World, blocking


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What Create would do.

    Attributes:
        cells_per_item: Most cells of an item.
        expected_calls: Under the stopping rule, if there is no difference.
        deterministic_share: Share of pilot replies that the deterministic grader decided; None without a pilot.
        reusable: Replies that are in the ledger already.
        making: What the arms take that have to be made; what has a price there is part of the cost.
    """

    tasks: tuple[TaskShape, ...]
    cells_per_item: int
    items: int
    cost: Cost
    expected_calls: int
    gates: tuple[GatePower, ...]
    can_conclude: bool
    warnings: tuple[str, ...]
    deterministic_share: float | None
    reusable: int
    making: tuple[GroupPlan, ...] = ()


async def plan(world: World, spec: Spec, data: bytes, limit: int, *, pilot: bool) -> Plan:
    """Plan a document; with `pilot` its baseline is asked for 20 replies, which a later run takes.

    Raises:
        CandorError: As `create`, UNDERPOWERED excepted; with `pilot` also what inference and grader say.
    """
    check(world, spec, limit)
    if pilot and isinstance(spec.arms[spec.baseline].source, Sft):
        problem = FieldViolation(
            "baseline", f"{spec.baseline!r} has to be made before it can be asked; plan without a pilot"
        )
        raise invalid("a pilot asks the baseline", [problem])
    prepared = await prepare(world, spec, limit)
    making = await plan_making(world, spec, prepared.pool)
    share = await pilot_share(world, prepared, data) if pilot else None
    power = await blocking(power_of, prepared, None if share is None else 1.0 - share)
    cost = await blocking(cost_of, spec, prepared.workload, None if share is None else 1.0 - share)
    reusable, trouble = await _reusable(world, prepared)
    workload = prepared.workload
    cells: dict[int, int] = {}
    for slot in workload.slots:
        cells[slot.item] = cells.get(slot.item, 0) + (slot.repeat == 0)
    return Plan(
        tasks=workload.tasks,
        cells_per_item=max(cells.values()),
        items=len(workload.items),
        cost=_with_making(cost, making),
        expected_calls=math.ceil(cost.calls * power.asked_share) if power else cost.calls,
        gates=power.gates if power else (),
        can_conclude=power.can_conclude if power else True,
        warnings=(
            *_warnings(prepared, share),
            *_unpriced_training(making),
            *(power.warnings if power else ()),
            *trouble,
        ),
        deterministic_share=share,
        reusable=reusable,
        making=making,
    )


def _with_making(cost: Cost, making: Sequence[GroupPlan]) -> Cost:
    known = [part for part in (cost.cost, *(each.whole_cost for each in making)) if part is not None]
    return replace(cost, cost=sum(known) if known else None)


def _unpriced_training(making: Sequence[GroupPlan]) -> list[str]:
    return [
        f"the cost leaves out the provider's training of {', '.join(each.arms)}: give prices.training_per_million to {each.base}"
        for each in making
        if each.provider_tokens and each.provider_cost is None
    ]


def _warnings(prepared: Prepared, share: float | None) -> list[str]:
    spec = prepared.spec
    found = [f"the gate {gate} is left out: it {why}" for gate, why in prepared.gating.gates.dropped]
    found += prepared.gating.gates.notes
    if prepared.limit:
        pool = sum(task.items for task in prepared.workload.tasks)
        found.append(f"a quick look at {len(prepared.workload.items):,} of {pool:,} items")
    if spec.judge is None:
        hint = "`plan --pilot` measures it" if share is None else f"the pilot left {1.0 - share:.0%} undecided"
        found.append(f"no judge: replies that the deterministic grader does not decide are ungradable; {hint}")
    unpriced = [name for name, arm in spec.arms.items() if arm.prices is None]
    if unpriced and len(unpriced) < len(spec.arms):
        found.append(f"the cost leaves out arms without prices: {', '.join(unpriced)}")
    return found


async def _reusable(world: World, prepared: Prepared) -> tuple[int, list[str]]:
    """Replies that the run would find, as far as that can be said without asking a model."""
    spec = prepared.spec
    earlier = await blocking(world.ledger.by_document, document_digest(spec, prepared.limit))
    last = earlier[0] if earlier else None
    found = {name: Resolved.from_json(value) for name, value in (last.pinned.get("arms", {}) if last else {}).items()}
    trouble: list[str] = []
    for name in spec.arm_order():
        if name not in found and _verifiable(spec.arms[name]):
            try:
                found[name] = await _described(world, spec.arms[name])
            except CandorError as error:
                trouble.append(f"arm {name}: {error.message}")
    return await blocking(_count, world, prepared, last, found), trouble


def _verifiable(arm: Arm) -> bool:
    return bool(arm.revision) or isinstance(arm.source, Checkpoint)


async def _described(world: World, arm: Arm) -> Resolved:
    identity = await world.inference.describe(arm)
    return Resolved(
        digest=identity.digest,
        verifiable=identity.verifiable,
        backend=identity.backend,
        components=dict(identity.components),
        sampling=arm.sampling,
    )


def _count(world: World, prepared: Prepared, last: EvaluationRow | None, found: dict[str, Resolved]) -> int:
    spec = prepared.spec
    arms = [spec.arms[name] for name in spec.arm_order() if name in found]
    # The same document once more after its verdict is a new run, which takes only what everybody may take.
    goes_on = last is not None and (not last.finished or last.gate_digest != gate_digest(spec))
    lineage = last.lineage if last is not None and goes_on else "-"
    keys = [key for subject in subjects(arms, found, lineage) for key in subject.keys(prepared.workload.slots)]
    return len(world.ledger.known(keys)) if keys else 0
