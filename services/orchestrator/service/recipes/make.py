"""Makes the arms of a document that have to be made. Every stage goes on from where it stands; nothing finished is redone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.made import Made, MadeArm, Saved
from services.orchestrator.domain.models import Checkpoint, Endpoint
from services.orchestrator.domain.recipe import Group, ProviderTraining, Training
from services.orchestrator.domain.spec import Arm, Spec
from services.orchestrator.ports import EvaluationRow
from services.orchestrator.ports.making import TrainingJob
from services.orchestrator.service.recipes.choosing import Chosen, checkpoint_at, choose_epoch, model_at, saved_epochs
from services.orchestrator.service.recipes.datasets import Dataset, assemble
from services.orchestrator.service.recipes.reading import Selection, select
from services.orchestrator.service.recipes.rewriting import Rewriting
from services.orchestrator.service.recipes.training import TrainedArm, check, train
from services.orchestrator.service.recipes.workshop import Workshop
from services.orchestrator.service.run.identify import pin, resolve
from services.orchestrator.service.run.state import Teller
from services.orchestrator.service.world import World, blocking


async def make(world: World, row: EvaluationRow, spec: Spec, items: Sequence[Item], teller: Teller) -> Made:
    """The arms that have to be made, made.

    Args:
        world: Everything outside.
        row: The evaluation.
        spec: Its document.
        items: All items of its tasks, to be kept out of the training data.
        teller: Told how it goes.

    Raises:
        CandorError: What stands in the way; the same evaluation goes on from there.
    """
    groups = spec.groups()
    if not groups:
        return Made()
    if any(group.common.rewriter.prices for group in groups):
        teller.counts.rewriting_spend = await blocking(world.ledger.rewriting_spend, row.id)
    if "made" in row.pinned:
        made = Made.from_json(row.pinned["made"])
        if row.lineage == row.id:
            teller.counts.training_spend = _spend(made.arms)
        return made
    shop = Workshop(world=world, row=row, spec=spec, items=items, teller=teller)
    await teller.enter("reading", await teller.unless_told(_said(groups)))
    await _ask_providers(world, spec, groups)
    selections = {group: await select(shop, group) for group in groups}
    for group, selection in selections.items():
        await check(shop, group, selection.location, selection.digest)
    await teller.enter("rewriting", await teller.unless_told(_selected(selections)))
    datasets = {}
    for group, selection in selections.items():
        bought = await Rewriting(shop, group, selection.train).run()
        datasets[group] = await assemble(shop, group, selection, bought)
    await teller.enter("training", await teller.unless_told(_assembled(datasets)))
    trained = await train(shop, datasets)
    await teller.enter("choosing")
    found = await _chosen(shop, selections, datasets, trained)
    teller.counts.training_spend = _spend(found.arms)
    await pin(world, row.id, made=found.to_json())
    return found


async def _ask_providers(world: World, spec: Spec, groups: Sequence[Group]) -> None:
    """Ask every endpoint that is to be fine-tuned one probe question: a bad key is known before a rewrite is paid."""
    for group in groups:
        base = spec.arms[group.base]
        if isinstance(base.source, Endpoint):
            await resolve(world, base)


async def _chosen(
    shop: Workshop,
    selections: Mapping[Group, Selection],
    datasets: Mapping[Group, Mapping[str, Dataset]],
    trained: Mapping[str, TrainedArm],
) -> Made:
    """Every arm at the epoch that was chosen for its base."""
    arms: list[MadeArm] = []
    adapters: dict[str, Checkpoint] = {}
    models: dict[str, str] = {}
    for group, selection in selections.items():
        chosen = await choose_epoch(shop, group, trained, [each.opening for each in selection.validation])
        await shop.teller.tell_once(f"{group.base}: epoch {chosen.choice.epoch:g}, {chosen.choice.rule}")
        base = shop.spec.arms[group.base]
        for name in group.arms:
            source = model_at(base.source, checkpoint_at(name, trained[name].job.checkpoints, chosen.choice.epoch))
            if isinstance(source, Endpoint):
                models[name] = source.model
            else:
                adapters[name] = source
            arm = _made(group, name, datasets[group][name], trained[name], chosen)
            spend = _cost(shop.row, base, trained[name].job, arms)
            arms.append(replace(arm, model=models.get(name, ""), spend=spend))
        shop.warnings += _warnings(group, selection, datasets[group], trained, chosen)
    return Made(arms=tuple(arms), adapters=adapters, models=models, warnings=tuple(shop.warnings))


def _cost(row: EvaluationRow, base: Arm, job: TrainingJob, others: Sequence[MadeArm]) -> float | None:
    """What a provider's training cost this evaluation: nothing where the job is an earlier one, or another arm's too."""
    if base.prices is None or base.prices.training_per_million is None:
        return None
    if job.created < row.created or any(other.job == job.name for other in others):
        return 0.0
    return job.trained_tokens * base.prices.training_per_million / 1e6


def _spend(arms: Sequence[MadeArm]) -> float | None:
    known = [arm.spend for arm in arms if arm.spend is not None]
    return sum(known) if known else None


def _made(group: Group, name: str, dataset: Dataset, arm: TrainedArm, chosen: Chosen) -> MadeArm:
    sft = group.arms[name]
    return MadeArm(
        arm=name,
        base=group.base,
        style=sft.style.name,
        training=_settings(sft.training),
        card=dataset.card,
        job=arm.job.name,
        facts=arm.job.facts,
        losses=tuple(arm.losses),
        checkpoints=tuple(
            Saved(each.epoch, each.step, each.digest, each.path, each.loss, each.model) for each in arm.job.checkpoints
        ),
        curve=chosen.points if name == chosen.on else (),
        chosen_on=chosen.on,
        epoch=chosen.choice.epoch,
        rule=chosen.choice.rule,
        seconds=arm.seconds,
        versions=arm.job.versions,
        provider_job=arm.job.provider_job,
    )


def _settings(training: Training | ProviderTraining) -> dict[str, str]:
    """What the document says or its defaults; what the trainer decides is among its facts."""
    values = {name: value for name, value in asdict(training).items() if value not in (None, "", ())}
    return {
        name: ", ".join(f"{each:g}" if isinstance(each, float) else each for each in value)
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
        for name, value in values.items()
    }


def _said(groups: Sequence[Group]) -> str:
    names = [name for group in groups for name in group.arms]
    return f"{', '.join(names)} are to be made" if len(names) > 1 else f"{names[0]} is to be made"


def _selected(selections: Mapping[Group, Selection]) -> str:
    parts = [
        f"{len(each.train):,} conversations selected, {each.card['contamination']['dropped']:,} held an evaluation item"
        for each in selections.values()
    ]
    return "; ".join(parts)


def _assembled(datasets: Mapping[Group, Mapping[str, Dataset]]) -> str:
    parts = []
    for group, arms in datasets.items():
        kept = next(iter(arms.values())).card["kept"]
        parts.append(f"{group.base}: every style accepted {kept['conversations']:,} conversations")
    return "; ".join(parts)


def _warnings(
    group: Group,
    selection: Selection,
    datasets: Mapping[str, Dataset],
    trained: Mapping[str, TrainedArm],
    chosen: Chosen,
) -> list[str]:
    found = []
    wanted = selection.card["wanted"]["train"]
    if len(selection.train) < wanted:
        found.append(
            f"{len(selection.train):,} of the {wanted:,} conversations asked for could be selected for the arms of {group.base}"
        )
    prompts, asked_for = len(selection.validation), selection.card["wanted"]["validation"]
    if prompts < asked_for:
        found.append(
            f"{prompts:,} of the {asked_for:,} validation prompts asked for could be selected to choose the checkpoint of {group.base} "
            "by: they must differ from the training data and from each other"
        )
    accepted = next(iter(datasets.values())).card["kept"]["conversations"]
    if accepted < len(selection.train):
        found.append(
            f"every style accepted {accepted:,} of {len(selection.train):,} conversations; the arms of {group.base} are trained on "
            "those"
        )
    training = group.common.training
    if isinstance(training, ProviderTraining) and group.measured:
        kept = saved_epochs(group, trained)
        if len(kept) < training.epochs:
            said = ", ".join(f"{epoch:g}" for epoch in kept)
            found.append(
                f"of the {training.epochs:g} epochs of the arms of {group.base} the provider kept {said}: no other could be taken"
            )
    if chosen.choice.warning:
        found.append(f"checkpoint of the arms of {group.base}: {chosen.choice.warning}")
    steps = {name: checkpoint_at(name, trained[name].job.checkpoints, chosen.choice.epoch).step for name in group.arms}
    if len(set(steps.values())) > 1:
        said = ", ".join(f"{name} {step:,}" for name, step in steps.items())
        found.append(f"the arms of {group.base} were trained for different numbers of steps: {said}")
    for name in group.arms:
        found += [f"training of {name}: {warning}" for warning in trained[name].job.warnings]
    return found
