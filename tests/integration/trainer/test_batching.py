"""The ways of laying a step out on a device are one training: losses and weights agree but for rounding."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.trainer.backends.process.order import Order
from services.trainer.domain.spec import Lora, Training, TrainingSpec


class Told:
    """A channel that remembers the losses."""

    stopping = False

    def __init__(self) -> None:
        self.losses: list[float] = []

    def tell(self, kind: str, **values: Any) -> None:
        if kind == "stepped":
            self.losses.append(values["loss"])


@pytest.fixture
def spec(base: Path, conversations: Path) -> TrainingSpec:
    # without dropout, whose draws depend on the layout
    training = Training(learning_rate=0.01, epochs=0.6, batch_size=12, device_batch_size=4, checkpoint_epochs=(0.6,))
    return TrainingSpec(base=str(base), dataset=str(conversations), lora=Lora(dropout=0), training=training)


def losses(spec: TrainingSpec, folder: Path, **changes: Any) -> list[float]:
    from services.trainer.backends.process.training import train

    told = Told()
    folder.mkdir()
    order = Order(
        spec=replace(spec, training=replace(spec.training, **changes)), device="cpu", threads=1, state_seconds=1e9
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        assert train(order, folder, told)  # type: ignore[arg-type]
    return told.losses


@pytest.mark.parametrize(
    "changes",
    [
        {"batching": "group_by_length"},
        {"batching": "packing"},
        {"batching": "plain", "gradient_checkpointing": True},
        {"batching": "plain", "device_batch_size": 12},
    ],
)
def test_another_layout_changes_the_speed_and_not_the_training(
    spec: TrainingSpec, tmp_path: Path, changes: dict[str, Any]
) -> None:
    plain = losses(spec, tmp_path / "plain", batching="plain")
    assert len(plain) == 3
    assert losses(spec, tmp_path / "other", **changes) == pytest.approx(plain, rel=1e-4)
    # and another order would be seen
    assert losses(spec, tmp_path / "seed", batching="plain", seed=2) != pytest.approx(plain, rel=1e-4)
