"""Both executors, on real ground: a child process that trains a tiny model, a provider's API over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chassis.egress import Egress, Guard
from chassis.testing.fake_finetuning import FakeFineTuning
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
from services.trainer.backends.process.executor import ProcessExecutor
from services.trainer.backends.provider.executor import ProviderExecutor
from services.trainer.domain.spec import Provider, Training, TrainingSpec


class Ground(NamedTuple):
    """An executor and a job for it."""

    executor: Any
    spec: TrainingSpec


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    line = {"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]}
    path.write_text((json.dumps(line) + "\n") * 32, "utf-8")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("torch", "trl", "peft"):
        pytest.importorskip(name, reason=f"training was not tested: {name} is not installed")
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(params=["process", "openai"])
async def ground(request: pytest.FixtureRequest, data: Path) -> AsyncIterator[Ground]:
    training = Training(learning_rate=0.01, epochs=3, batch_size=8, checkpoint_epochs=(1, 2))
    if request.param == "process":
        base = str(request.getfixturevalue("model"))
        spec = TrainingSpec(base=base, dataset=str(data), training=training)
        yield Ground(ProcessExecutor(device="cpu", threads=1, state_seconds=0, estimates_time=False), spec)
        return
    with FakeFineTuning() as provider:
        spec = TrainingSpec(
            dataset=str(data),
            training=training,
            executor="openai",
            provider=Provider(base_url=provider.base_url, model="small"),
        )
        executor = ProviderExecutor(Guard(Egress.embedded()), poll_seconds=0.01)
        yield Ground(executor, spec)
        await executor.close()
