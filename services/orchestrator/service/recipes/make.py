"""Makes the arms of a document that have to be made. Every stage goes on from where it stands; nothing finished is redone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from services.orchestrator.domain.items import Item
from services.orchestrator.domain.making.made import Made, MadeArm, Saved
from services.orchestrator.domain.models import Checkpoint
from services.orchestrator.domain.recipe import Group, Training
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports import EvaluationRow
from services.orchestrator.service.recipes.choosing import Chosen, checkpoint_at, choose_epoch
from services.orchestrator.service.recipes.datasets import Dataset, assemble
from services.orchestrator.service.recipes.reading import Selection, select
from services.orchestrator.service.recipes.rewriting import Rewriting
from services.orchestrator.service.recipes.training import TrainedArm, train
from services.orchestrator.service.recipes.workshop import Workshop
from services.orchestrator.service.run.identify import pin
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
        return Made.from_json(row.pinned["made"])
    shop = Workshop(world=world, row=row, spec=spec, items=items, teller=teller)
    await teller.enter("reading", _said(groups))
    selections = {group: await select(shop, group) for group in groups}
    await teller.enter("rewriting", _selected(selections))
    datasets = {}
    for group, selection in selections.items():
        bought = await Rewriting(shop, group, selection.train).run()
        datasets[group] = await assemble(shop, group, selection, bought)
    await teller.enter("training", _assembled(datasets))
    trained = await train(shop, datasets)
    await teller.enter("choosing")
    made = []
    adapters = {}
    for group, selection in selections.items():
        chosen = await choose_epoch(shop, group, trained, [each.opening for each in selection.validation])
        await teller.tell(f"{group.base}: epoch {chosen.choice.epoch:g}, {chosen.choice.rule}")
        for name in group.arms:
            made.append(_made(group, name, datasets[group][name], trained[name], chosen))
            adapters[name] = _adapter(spec, group, name, trained[name], chosen)
        shop.warnings += _warnings(group, selection, datasets[group], trained, chosen)
    found = Made(arms=tuple(made), adapters=adapters, warnings=tuple(shop.warnings))
    await pin(world, row.id, made=found.to_json())
    return found


def _adapter(spec: Spec, group: Group, name: str, arm: TrainedArm, chosen: Chosen) -> Checkpoint:
    base = spec.arms[group.base].source
    assert isinstance(base, Checkpoint)
    return Checkpoint(path=base.path, adapter=checkpoint_at(name, arm.job.checkpoints, chosen.choice.epoch).path)


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
            Saved(each.epoch, each.step, each.digest, each.path, each.loss) for each in arm.job.checkpoints
        ),
        curve=chosen.points if name == chosen.on else (),
        chosen_on=chosen.on,
        epoch=chosen.choice.epoch,
        rule=chosen.choice.rule,
        seconds=arm.seconds,
        versions=arm.job.versions,
    )


def _settings(training: Training) -> dict[str, str]:
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
    kept = next(iter(datasets.values())).card["kept"]["conversations"]
    if kept < len(selection.train):
        found.append(
            f"every style accepted {kept:,} of {len(selection.train):,} conversations; the arms of {group.base} are trained on "
            "those"
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
