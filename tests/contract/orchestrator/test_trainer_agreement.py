"""What the orchestrator expects of the trainer without asking it is what the trainer does."""

import pytest

from chassis.errors import CandorError
from services.orchestrator.domain import recipe
from services.orchestrator.ports.making import Trained
from services.orchestrator.service.recipes.choosing import checkpoint_at
from services.trainer.domain import spec
from services.trainer.domain.schedule import Plan, plan

SIZES = [*range(1, 70), 1_616, 1_617, 1_618]


def trained(shape: Plan) -> list[Trained]:
    return [Trained(epoch=epoch, step=step, path=str(step), digest="") for step, epoch in shape.checkpoints.items()]


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
