"""From a document to what may be asked: tasks, workload, gate. Shared by plan, create and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.domain.gating import Gating, gating
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.selection import cut
from services.orchestrator.domain.spec import Sft, Spec
from services.orchestrator.domain.tasks import check_distinct
from services.orchestrator.domain.validate import violations
from services.orchestrator.domain.workload import Workload
from services.orchestrator.service.false_answers import with_false_answers
from services.orchestrator.service.judging import JudgeError, address_of, judge_error
from services.orchestrator.service.world import World, blocking


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document made ready.

    Attributes:
        pool: All items of the tasks, those among them that a limit leaves out.
        judge: What is known of the judge's error; a run looks again once it knows who the judge is.
    """

    spec: Spec
    limit: int
    workload: Workload
    gating: Gating
    pool: tuple[Item, ...]
    judge: JudgeError


def check(world: World, spec: Spec, limit: int) -> None:
    """Everything that is wrong with a document, before anything is read or asked.

    Raises:
        CandorError: BAD_DOCUMENT with all violations, or NO_TARGET.
    """
    found = violations(spec)
    if limit < 0:
        found.append(FieldViolation("limit", f"is {limit}; must be 0 (all) or more"))
    if found:
        count = "1 field" if len(found) == 1 else f"{len(found)} fields"
        raise invalid(f"the document has {count} to mend", found, Reason.BAD_DOCUMENT)
    for arm in spec.arms.values():
        if not isinstance(arm.source, Sft):
            world.inference.check_target(arm)
    if spec.groups():
        _check_makers(world)


def _check_makers(world: World) -> None:
    for service, port in (("rewriter", world.rewriter), ("trainer", world.trainer)):
        if port is None:
            message = (
                f"the document has arms to be made, and no {service} is set up here; the operator sets "
                f"CANDOR_ORCHESTRATOR_{service.upper()}_TARGET"
            )
            raise CandorError(Reason.NO_TARGET, message)


async def prepare(world: World, spec: Spec, limit: int, *, ask: bool = False) -> Prepared:
    """Load the tasks and lay out every call.

    Args:
        world: Everything outside.
        spec: The document.
        limit: Items asked; 0 is all.
        ask: Whether a model that proposes false answers may be asked now; otherwise only its stored proposals are used.

    Raises:
        CandorError: BAD_DATASET, BAD_DOCUMENT (no items; a gate without its cells); from inference with `ask`.
    """
    loaded = [cut(await blocking(world.tasks.load, ref, spec.seed), ref.items, spec.seed) for ref in spec.tasks]
    tasks = [await with_false_answers(world, ref, task, ask=ask) for ref, task in zip(spec.tasks, loaded, strict=True)]
    return await blocking(_lay_out, world, spec, limit, tasks)


def _lay_out(world: World, spec: Spec, limit: int, tasks: Sequence[Task]) -> Prepared:
    check_distinct(tasks)
    workload = Workload.of(spec, tasks, limit)
    if not workload.slots:
        problem = FieldViolation("tasks", "no question is left to ask under these conditions")
        raise invalid("there is nothing to ask", [problem], Reason.BAD_DATASET)
    judge = JudgeError() if spec.judge is None else judge_error(world.ledger, spec, address_of(spec.judge))
    pool = tuple(item for task in tasks for item in task.items)
    gates = gating(spec, workload, judge.bias)
    return Prepared(spec=spec, limit=limit, workload=workload, gating=gates, pool=pool, judge=judge)


def with_judge(prepared: Prepared, found: JudgeError) -> Prepared:
    """The same under a judge's measured error."""
    return replace(prepared, judge=found, gating=gating(prepared.spec, prepared.workload, found.bias))
