"""A job of two processes (gloo, on this machine's CPUs): what one process would train, told once, stopped and resumed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candor.trainer.v1 import trainer_pb2 as pb

from chassis.clients import translated
from chassis.errors import CandorError, Reason

Spec = Callable[..., pb.TrainingSpec]
STEPS = 20


def spec_of(make_spec: Spec, processes: int, **settings: object) -> pb.TrainingSpec:
    """Without dropout, so that how the work is shared makes no difference."""
    spec = make_spec(epochs=2, checkpoint_epochs=[1], processes=processes, **settings)
    spec.lora.dropout = 0.0
    return spec


def weights(job: pb.TrainingJob) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(Path(job.checkpoints[-1].path) / "adapter_model.safetensors"))


def furthest(one: dict[str, Any], other: dict[str, Any]) -> float:
    return max(float(abs(one[name] - other[name]).max()) for name in one)


def losses(events: list[pb.TrainingEvent]) -> dict[int, float]:
    return {event.progress.step: event.progress.loss for event in events if event.progress.HasField("loss")}


async def test_two_processes_train_what_one_trains_although_server_and_worker_are_ended(
    serve: Any, make_spec: Spec, watch: Any, tmp_path: Path
) -> None:
    one, two = (pb.CreateTrainingJobRequest(spec=spec_of(make_spec, processes)) for processes in (1, 2))
    async with serve(tmp_path / "one", state_seconds=60) as trainer:
        job = await trainer.CreateTrainingJob(one)
        expected = losses(await watch(trainer, job.name))
        alone = await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))
    async with serve(tmp_path / "two") as trainer:
        job = await trainer.CreateTrainingJob(two)
        events = list(await watch(trainer, job.name, lambda event: event.progress.step >= 3))
    async with serve(tmp_path / "two") as trainer:
        events += await watch(trainer, job.name, lambda event: event.progress.step >= 12)
        (lock,) = (tmp_path / "two").rglob("worker.pid")
        os.kill(int(lock.read_text()), signal.SIGKILL)
        assert (await watch(trainer, job.name))[-1].state == "FAILED"
        job = await trainer.CreateTrainingJob(two)
        events += await watch(trainer, job.name)
        assert events[-1].state == "SUCCEEDED", events[-1]
        shared = await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))
    assert [(saved.epoch, saved.step) for saved in shared.checkpoints] == [(1, 10), (2, STEPS)]
    assert shared.progress.trained_tokens == alone.progress.trained_tokens
    assert losses(events) == pytest.approx(expected, rel=1e-3)
    assert furthest(weights(alone), weights(shared)) < 1e-3
    assert max(abs(value).max() for value in weights(alone).values()) > 0.05


async def test_a_step_that_does_not_divide_among_the_processes_is_refused(
    trainer: Any, make_spec: Spec, tmp_path: Path
) -> None:
    data = tmp_path / "three.jsonl"
    turns = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    data.write_text(3 * (json.dumps({"messages": turns}) + "\n"), "utf-8")
    request = pb.CheckTrainingJobRequest(spec=make_spec(dataset=data, processes=2))
    with pytest.raises(CandorError, match=r"lower training\.processes") as caught, translated("trainer"):
        await trainer.CheckTrainingJob(request)
    assert caught.value.reason is Reason.BAD_TRAINING_DATA
