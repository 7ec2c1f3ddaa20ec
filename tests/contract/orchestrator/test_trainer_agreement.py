"""What the orchestrator expects of the trainer without asking it is what the trainer does."""

import math
from typing import Any

import pytest

from chassis.errors import CandorError
from services.orchestrator.domain import recipe, validate_recipes
from services.orchestrator.ports.making import Trained
from services.orchestrator.service.recipes.choosing import checkpoint_at
from services.trainer.domain import spec, validate
from services.trainer.domain.schedule import Plan, plan

SIZES = [*range(1, 70), 1_616, 1_617, 1_618]


def trained(shape: Plan) -> list[Trained]:
    return [Trained(epoch=epoch, step=step, path=str(step), digest="") for step, epoch in shape.checkpoints.items()]


# Values on both sides of every bound of either.
PROBES: dict[str, tuple[Any, ...]] = {
    "lora_r": (0, 1, 8, 512, 513, 1024),
    "lora_alpha": (0.0, 0.1, 4096.0, 4097.0, math.nan, math.inf),
    "lora_dropout": (-0.1, 0.0, 0.99, 1.0, math.nan),
    "target_modules": ((), ("q_proj",), ("lm_head",), ("embed_tokens",), (" ",), ("q_proj", "")),
    "learning_rate": (0.0, 1e-9, 1.0, 1.1, math.nan),
    "epochs": (0.0, 0.1, 1000.0, 1001.0, math.nan, math.inf),
    "batch_size": (0, 1, 4096, 4097, 65_536),
    "device_batch_size": (None, 0, 1, 16, 17),
    "max_length": (7, 8, 1_048_576, 1_048_577),
    "seed": (-1, 0, 2**32 - 1, 2**32),
    "warmup": (-0.1, 0.0, 0.99, 1.0, math.nan),
    "weight_decay": (-0.1, 0.0, 1.0, 1.1, math.nan),
    "processes": (-1, 0, 1, 2, 3, 16, 32),
    "schedule": ("linear", "constant", "cosine", "", "x"),
    "batching": ("group_by_length", "packing", "plain", "", "x"),
    "precision": ("", "bf16", "fp32", "fp16"),
    "gradient_checkpointing": (None, True, False),
    "checkpoint_epochs": ((0.5,), (10.0,), (0.0,), (10.5,), (-1.0,)),
}


def refused_by_the_trainer(settings: dict[str, Any]) -> bool:
    lora = {name.removeprefix("lora_"): value for name, value in settings.items() if name.startswith("lora_")}
    training = {name: value for name, value in settings.items() if not name.startswith("lora_")}
    if "target_modules" in training:
        lora["target_modules"] = training.pop("target_modules")
    order = spec.TrainingSpec(
        base="b",
        dataset="d",
        dataset_digest="sha256:" + 64 * "0",
        lora=spec.Lora(**lora),
        training=spec.Training(**training),
    )
    try:
        validate.check(order)
    except CandorError:
        return True
    return False


@pytest.mark.parametrize("name", PROBES)
def test_a_document_is_refused_for_what_its_training_would_be_refused_for(name: str) -> None:
    for value in PROBES[name]:
        settings = {name: value}
        if name == "epochs":
            settings["checkpoint_epochs"] = (value,)
        ours = bool(list(validate_recipes._training("t", recipe.Training(**settings))))
        assert ours == refused_by_the_trainer(settings), (name, value)


def test_every_setting_of_a_document_is_among_those_that_are_compared() -> None:
    assert set(PROBES) == set(recipe.Training.__dataclass_fields__)


@pytest.mark.parametrize("epochs", [0.3, 1.0, 2.0, 3.0, 10.0])
def test_every_epoch_that_a_document_may_choose_has_its_checkpoint(epochs: float) -> None:
    wanted = recipe.checkpoint_epochs((), epochs)
    for size in SIZES:
        shape = plan(spec.Training(epochs=epochs, checkpoint_epochs=wanted), size)
        for epoch in wanted:
            found = checkpoint_at("warm", trained(shape), epoch)
            half_a_step = 0.5 * shape.batch / size
            assert abs(shape.epoch(found.step) - epoch) <= half_a_step + 1e-9 or found.step == 1, (size, epoch)


def test_the_plan_counts_the_steps_that_the_trainer_makes() -> None:
    for size in SIZES:
        for settings in ({}, {"epochs": 0.3}, {"epochs": 2.5, "batch_size": 7}):
            assert recipe.Training(**settings).steps(size) == plan(spec.Training(**settings), size).steps
    assert recipe.Training().steps(1617) == 1011
    assert recipe.Training().steps(0) == 0


def test_a_checkpoint_that_is_not_there_is_an_error() -> None:
    shape = plan(spec.Training(checkpoint_epochs=(0.5, 2.0)), 160)
    for checkpoints in ([], trained(shape)[:1], trained(shape)[1:]):
        with pytest.raises(CandorError, match="no checkpoint was saved at epoch"):
            checkpoint_at("warm", [each for each in checkpoints if each.epoch != 0.5], 0.5)
