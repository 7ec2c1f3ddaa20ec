"""Has the arms trained, and tells how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.making.made import Loss
from services.orchestrator.domain.recipe import Group, Sft
from services.orchestrator.ports.making import TrainingJob, TrainingOrder, TrainingStep
from services.orchestrator.service.recipes.datasets import Dataset
from services.orchestrator.service.recipes.workshop import Workshop
from services.orchestrator.service.world import blocking

_POINTS = 200


@dataclass(slots=True, kw_only=True)
class TrainedArm:
    """An arm's job and what its history said.

    Attributes:
        now: How it stands, while it trains.
    """

    job: TrainingJob
    losses: list[Loss] = field(default_factory=list)
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    now: TrainingStep | None = None


async def train(shop: Workshop, groups: Mapping[Group, Mapping[str, Dataset]]) -> dict[str, TrainedArm]:
    """Every arm trained. All jobs are made before the first is waited for, so that a bad one is known at once.

    Raises:
        CandorError: BAD_TRAINING_DATA, TRAINING_FAILED, and what the trainer says, naming the arm.
    """
    arms: dict[str, TrainedArm] = {}
    for group, datasets in groups.items():
        for name, dataset in datasets.items():
            arms[name] = TrainedArm(job=await _create(shop, group, name, dataset))
            arms[name].steps = arms[name].job.steps
            await _introduce(shop, name, arms[name].job)
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, arm in arms.items():
                tasks.create_task(_follow(shop, name, arm, arms))
    except asyncio.CancelledError:
        await _cancel(shop, arms)
        raise
    return arms


async def check(shop: Workshop, group: Group, location: str, digest: str) -> None:
    """Ask the trainer about base, settings and the replies as they were read, before the first rewrite is paid for.

    Args:
        shop: The workshop.
        group: The recipes on one base.
        location: Of the selected conversations, as the trainer sees it.
        digest: Of that file.

    Raises:
        CandorError: BAD_TRAINING_DATA, BAD_CHECKPOINT, BACKEND_MISSING, and what else the trainer says, naming an arm.
    """
    name = next(iter(group.arms))
    with _naming(name):
        warnings = await shop.trainer.check(_order(shop, group, name, location, digest))
    for warning in warnings:
        await shop.teller.tell_once(f"training on {group.base}: {warning}")


async def _create(shop: Workshop, group: Group, name: str, dataset: Dataset) -> TrainingJob:
    with _naming(name):
        return await shop.trainer.create(_order(shop, group, name, dataset.location, dataset.digest))


def _order(shop: Workshop, group: Group, name: str, location: str, digest: str) -> TrainingOrder:
    base = shop.spec.arms[group.base].source
    assert not isinstance(base, Sft), "validated before"
    return TrainingOrder(
        base=base,
        dataset=location,
        dataset_digest=digest,
        training=group.common.training,
        style=group.arms[name].style.name,
        name=f"{name}, {shop.spec.name}"[:200],
    )


@contextmanager
def _naming(arm: str) -> Iterator[None]:
    try:
        yield
    except CandorError as error:
        message = f"arm {arm}: {error.message}"
        raise CandorError(error.reason, message, violations=error.violations, metadata=error.metadata) from error


async def _introduce(shop: Workshop, name: str, job: TrainingJob) -> None:
    """What a job is expected to take, unless it has begun to take it."""
    if job.state == "SUCCEEDED":
        await shop.teller.tell(f"{name}: trained before, {job.steps:,} steps")
    elif job.estimate is not None and not job.step:
        await shop.teller.tell_once(f"{name}: {job.estimate}")


async def _follow(shop: Workshop, name: str, arm: TrainedArm, arms: Mapping[str, TrainedArm]) -> None:
    """Take in the whole history, the past first: a job that is done has its curve all the same."""
    began = 0.0
    with _naming(name):
        async for event in shop.trainer.watch(arm.job.name, 0):
            # Waiting for its turn is not training.
            began = began or (event.time if event.state == "RUNNING" else 0.0)
            arm.seconds = event.time - began if began else 0.0
            _take(arm, event)
            shop.teller.counts.training = [
                _standing(each, other.now) for each, other in arms.items() if other.now is not None
            ]
            if event.message and arm.job.state != "SUCCEEDED":
                await shop.teller.tell_once(f"{name}: {event.message}")
            shop.progress(sum(each.step for each in arms.values()), sum(each.steps for each in arms.values()))
        arm.now = None
        arm.job = await shop.trainer.get(arm.job.name)
    if arm.job.state != "SUCCEEDED":
        raise _failed(name, arm.job)
    arm.losses = _thinned(arm.losses)


def _take(arm: TrainedArm, event: TrainingStep) -> None:
    arm.step, arm.steps = max(arm.step, event.step), event.steps or arm.steps
    if event.loss is not None and (not arm.losses or event.step > arm.losses[-1].step):
        arm.losses.append(Loss(event.step, event.epoch, event.loss, event.learning_rate))
    # What is older than the answer to Create is how it stood, not how it stands.
    arm.now = event if event.state == "RUNNING" and event.step and event.time >= arm.job.updated else None


def _standing(name: str, event: TrainingStep) -> dict[str, Any]:
    """As `Progress.training` has it."""
    values = {
        "loss": event.loss,
        "learning_rate": event.learning_rate,
        "tokens_per_second": event.tokens_per_second,
        "eta_seconds": event.eta_seconds,
    }
    known = {field: value for field, value in values.items() if value is not None}
    return {"arm": name, "step": event.step, "steps": event.steps, **known}


def _failed(name: str, job: TrainingJob) -> CandorError:
    reason = Reason.__members__.get(job.failure_reason, Reason.TRAINING_FAILED)
    why = job.reason or f"the training ended as {job.state}"
    # A provider's job that failed is over; one that goes on, or whose answer was lost, is found again.
    again = "asks the provider once more" if job.facts.get("trained at") else "goes on from its last checkpoint"
    return CandorError(reason, f"arm {name}: {why}; the same command {again}")


def _thinned(losses: list[Loss]) -> list[Loss]:
    """At most 200 points, the first and the last among them."""
    if len(losses) <= _POINTS:
        return losses
    step = (len(losses) - 1) / (_POINTS - 1)
    return [losses[round(place * step)] for place in range(_POINTS)]


async def _cancel(shop: Workshop, arms: Mapping[str, TrainedArm]) -> None:
    """Stop what is under way when somebody asked for it; a process that merely ends leaves the trainer to go on."""
    row = await blocking(shop.world.ledger.evaluation, shop.row.id)
    if row.cancel:
        for arm in arms.values():
            if arm.job.state in ("PENDING", "RUNNING"):
                await shop.trainer.cancel(arm.job.name)
