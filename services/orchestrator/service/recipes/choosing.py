"""Chooses the checkpoint: once for each base, on one arm, and the same epoch for every arm of the base."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chassis.errors import CandorError, Reason
from services.orchestrator.domain import keys
from services.orchestrator.domain.making.choice import Choice, Point, choose, curve, fallback, saved_at
from services.orchestrator.domain.making.conversations import Messages
from services.orchestrator.domain.models import Checkpoint, Endpoint
from services.orchestrator.domain.recipe import Group, Sft, Training
from services.orchestrator.domain.spec import Arm
from services.orchestrator.domain.subjects import Resolved, Subject, subjects
from services.orchestrator.ports import Prompt, ResponseRow
from services.orchestrator.ports.making import Trained
from services.orchestrator.service.recipes.training import TrainedArm
from services.orchestrator.service.recipes.warmth import scores
from services.orchestrator.service.recipes.workshop import OF_THE_ITEM, Workshop
from services.orchestrator.service.rows import outcome_row
from services.orchestrator.service.run.batcher import Batcher
from services.orchestrator.service.run.identify import resolve
from services.orchestrator.service.world import blocking

_ITEM = hashlib.sha256(b"validation prompt").digest()
_STREAMS = 2
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The choice of a base and the curve behind it."""

    choice: Choice
    points: tuple[Point, ...] = ()
    on: str = ""


async def choose_epoch(
    shop: Workshop, group: Group, trained: Mapping[str, TrainedArm], prompts: Sequence[Messages]
) -> Chosen:
    """The epoch that every arm of the base takes; settled once for the evaluation.

    Raises:
        CandorError: What inference says; what stands in the way of measuring warmth for now only.
    """
    epoch = group.common.checkpoint.epoch
    if epoch is not None:
        return Chosen(choice=Choice(epoch=epoch, rule="given in the document"))
    known = await shop.remembered("choices", group.base)
    if known is not None:
        return Chosen(
            choice=Choice(**known["choice"]), points=tuple(Point(**each) for each in known["points"]), on=known["on"]
        )
    epochs = saved_epochs(group, trained)
    points: tuple[Point, ...] = ()
    if len(epochs) == 1 and not isinstance(group.common.training, Training):
        choice = Choice(epoch=epochs[0], rule="the only one that the provider kept")
    elif len(prompts) < _FEWEST:
        choice = fallback(epochs, f"there are {len(prompts)} validation prompts to measure warmth on")
    else:
        try:
            points = await _measure(shop, group, trained[group.chooser], epochs, prompts)
            choice = choose(points, epochs)
        except CandorError as error:
            if error.retryable or error.reason not in _UNMEASURABLE:
                raise
            choice = fallback(epochs, f"warmth cannot be measured ({error.message})")
    found = Chosen(choice=choice, points=points, on=group.chooser)
    value = {"choice": _plain(choice), "points": [_plain(point) for point in points], "on": group.chooser}
    await shop.remember("choices", group.base, value)
    return found


# The scorer is not here, and will not be.
_UNMEASURABLE = (Reason.BACKEND_MISSING, Reason.SCORER_NOT_FOUND, Reason.HOST_NOT_ALLOWED)


def _plain(value: Choice | Point) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def saved_epochs(group: Group, trained: Mapping[str, TrainedArm]) -> tuple[float, ...]:
    """The epochs to choose from: those saved of every arm of the base, rising.

    In a tiny set several epochs that were asked for fall on one step; a provider keeps which it likes.

    Raises:
        CandorError: TRAINING_FAILED when there is none.
    """
    kept = {name: trained[name].job.checkpoints for name in group.arms}
    own = sorted(each.epoch for each in kept[group.chooser or next(iter(kept))])
    common = tuple(epoch for epoch in own if all(saved_at(some, epoch) for some in kept.values()))
    if not common:
        said = "; ".join(f"{name} {_epochs(some)}" for name, some in kept.items())
        message = f"no checkpoint was saved at an epoch that all arms of {group.base} have: {said}"
        raise CandorError(Reason.TRAINING_FAILED, message)
    return common


def model_at(base: Endpoint | Checkpoint | Sft, saved: Trained) -> Endpoint | Checkpoint:
    """What a checkpoint is asked as: the base with its adapter, or the provider's model beside the base."""
    assert not isinstance(base, Sft), "validated before"
    if isinstance(base, Endpoint):
        return replace(base, model=saved.model)
    return Checkpoint(path=base.path, adapter=saved.path)


def checkpoint_at(arm: str, checkpoints: Sequence[Trained], epoch: float) -> Trained:
    """The adapter or model saved at the step of an epoch.

    Raises:
        CandorError: TRAINING_FAILED when none was saved there.
    """
    found = saved_at(checkpoints, epoch)
    if found is None:
        message = (
            f"arm {arm}: no checkpoint was saved at epoch {epoch:g}; saved are {_epochs(checkpoints)}: name one in "
            "checkpoint.epoch"
        )
        raise CandorError(Reason.TRAINING_FAILED, message)
    return found


def _epochs(checkpoints: Sequence[Trained]) -> str:
    return ", ".join(f"{each.epoch:g}" for each in checkpoints) or "none"


async def _measure(
    shop: Workshop, group: Group, arm: TrainedArm, epochs: Sequence[float], prompts: Sequence[Messages]
) -> tuple[Point, ...]:
    base = shop.spec.arms[group.base]
    saved = {0.0: base.source} | {
        epoch: model_at(base.source, checkpoint_at(group.chooser, arm.job.checkpoints, epoch)) for epoch in epochs
    }
    # Whether warmth can be measured at all is known before anything is generated.
    await scores(shop, [content for _, content in prompts[0]][-1:])
    total = len(saved) * len(prompts)
    found: dict[float, list[float | None]] = {}
    for epoch, source in saved.items():
        name = f"{group.chooser} at epoch {epoch:g}" if epoch else group.base
        replies = await _replies(shop, Arm(name=name, source=source, sampling=base.sampling), prompts)
        texts = [text for text in replies if text]
        measured = iter(await scores(shop, texts))
        found[epoch] = [next(measured) if text else None for text in replies]
        shop.progress(len(found) * len(prompts), total)
    return curve(found)


async def _replies(shop: Workshop, arm: Arm, prompts: Sequence[Messages]) -> list[str]:
    """Replies of a checkpoint in the order of the prompts; empty where a call failed. Those in the ledger are taken."""
    subject = await _subject(shop, arm)
    ledger = shop.world.ledger
    digests = [keys.prompt_digest(_ITEM, prompt) for prompt in prompts]
    wanted = [keys.response_key(subject.prefix, digest, 0) for digest in digests]
    rows = await blocking(ledger.responses, wanted)
    found = {key: row.text for key, row in rows.items() if not row.error_reason}
    missing = [place for place, key in enumerate(wanted) if key not in found]
    writer: Batcher[ResponseRow] = Batcher(
        lambda fresh: blocking(ledger.put_responses, fresh),
        size=shop.world.limits.commit_items,
        seconds=shop.world.limits.commit_seconds,
    )
    streams = asyncio.Semaphore(_STREAMS)
    trouble: list[CandorError] = []

    async def ask(places: list[int]) -> None:
        async with streams:
            asked = [
                Prompt(messages=prompts[place], seed=keys.call_seed(arm.sampling.seed, digests[place], 0))
                for place in places
            ]
            replies = shop.world.inference.generate(arm, subject.found.sampling, subject.found.digest, asked)
            async for index, outcome in replies:
                key = wanted[places[index]]
                if isinstance(outcome, CandorError):
                    if outcome.reason not in OF_THE_ITEM:
                        trouble.append(outcome)
                    continue
                found[key] = outcome.text
                writer.put(outcome_row(subject.scope, key, shop.row.id, outcome, shop.world.clock()))
                shop.teller.nudge()

    size = shop.world.limits.batch
    try:
        async with asyncio.TaskGroup() as tasks:
            for start in range(0, len(missing), size):
                tasks.create_task(ask(missing[start : start + size]))
    finally:
        await writer.close(flush=True)
    if trouble:
        raise CandorError(trouble[-1].reason, f"{arm.name}: {trouble[-1].message}", metadata=trouble[-1].metadata)
    return [found.get(key, "") for key in wanted]


async def _subject(shop: Workshop, arm: Arm) -> Subject:
    if isinstance(arm.source, Endpoint):  # may refuse parameters
        return subjects([arm], {arm.name: await resolve(shop.world, arm)}, shop.row.lineage)[0]
    identity = await shop.world.inference.describe(arm)
    resolved = Resolved(
        digest=identity.digest,
        verifiable=identity.verifiable,
        backend=identity.backend,
        components=dict(identity.components),
        sampling=arm.sampling,
    )
    return subjects([arm], {arm.name: resolved}, shop.row.lineage)[0]
