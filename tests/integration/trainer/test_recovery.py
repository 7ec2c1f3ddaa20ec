"""Kill -9 in the middle of training, then go on: nothing is lost, and the weights are those of an unbroken run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from candor.trainer.v1 import trainer_pb2 as pb
from candor.trainer.v1 import trainer_pb2_grpc

from chassis.errors import CandorError, ExitCode, Reason

Spec = Callable[..., pb.TrainingSpec]


def at_step(step: int) -> Callable[[pb.TrainingEvent], bool]:
    return lambda event: event.progress.step >= step


def weights(checkpoint: pb.TrainedCheckpoint) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(Path(checkpoint.path) / "adapter_model.safetensors")


def far_apart(one: pb.TrainedCheckpoint, other: pb.TrainedCheckpoint) -> float:
    left, right = weights(one), weights(other)
    assert set(left) == set(right)
    return max(float(abs(left[name] - right[name]).max()) for name in left)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def unbroken(serve: Any, make_spec: Spec, watch: Any, tmp_path_factory: pytest.TempPathFactory) -> pb.TrainingJob:
    async with serve(tmp_path_factory.mktemp("unbroken")) as stub:
        job = await stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=make_spec()))
        await watch(stub, job.name)
        return await stub.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))


async def test_a_killed_training_process_is_told_and_the_job_goes_on_to_the_same_weights(
    trainer: Any, make_spec: Spec, watch: Any, unbroken: pb.TrainingJob, tmp_path: Path
) -> None:
    request = pb.CreateTrainingJobRequest(spec=make_spec())
    job = await trainer.CreateTrainingJob(request)
    await watch(trainer, job.name, at_step(13))
    folder = tmp_path / "training" / job.name.removeprefix("trainingJobs/")
    os.kill(int((folder / "worker.pid").read_text()), signal.SIGKILL)
    await watch(trainer, job.name)
    broken = await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))
    assert (broken.state, broken.failure_reason) == ("FAILED", "TRAINING_FAILED")
    assert "signal 9" in broken.reason
    assert [saved.step for saved in broken.checkpoints] == [10]

    again = await trainer.CreateTrainingJob(request)
    assert again.name == job.name
    events = await watch(trainer, job.name)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    (resumed,) = [event.message for event in events if event.message.startswith("goes on after step")]
    assert int(resumed.rpartition(" ")[2]) >= 12
    finished = await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))
    assert finished.state == "SUCCEEDED"
    assert [saved.step for saved in finished.checkpoints] == [saved.step for saved in unbroken.checkpoints]
    assert far_apart(finished.checkpoints[-1], unbroken.checkpoints[-1]) < 1e-6
    # and the measure can tell two steps' weights apart
    assert far_apart(finished.checkpoints[0], unbroken.checkpoints[-1]) > 1e-3


def start(artifacts: Path) -> subprocess.Popen[str]:
    """A trainer as a process of its own."""
    settings = {
        "CANDOR_TRAINER_ARTIFACTS": str(artifacts),
        "CANDOR_TRAINER_EGRESS__ANY_PATH": "true",
        "CANDOR_TRAINER_TORCH_THREADS": "1",
        "CANDOR_TRAINER_STATE_SECONDS": "0",
        "CANDOR_TRAINER_ESTIMATE_TIME": "false",
        "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
    }
    command = [sys.executable, "-m", "services.trainer"]
    return subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


async def port_of(server: subprocess.Popen[str]) -> int:
    """The port that it says it serves on."""
    assert server.stdout is not None
    while (found := re.search(r"port=\D*(\d+)", line := await asyncio.to_thread(server.stdout.readline))) is None:
        assert line, "the server ended"
    return int(found.group(1))


async def connected(server: subprocess.Popen[str]) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await port_of(server)}") as channel:
        yield trainer_pb2_grpc.TrainerServiceStub(channel)


async def test_a_killed_server_takes_its_job_up_when_it_starts_again(
    make_spec: Spec, watch: Any, unbroken: pb.TrainingJob, tmp_path: Path
) -> None:
    server = start(tmp_path)
    try:
        async for stub in connected(server):
            job = await stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=make_spec()))
            await watch(stub, job.name, at_step(13))
            server.kill()
    finally:
        server.kill()
        server.communicate()
    # As if it had been killed before it heard of the first adapter.
    record = tmp_path / "training" / job.name.removeprefix("trainingJobs/") / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "checkpoints": []}))

    server = start(tmp_path)
    try:
        async for stub in connected(server):
            events = await watch(stub, job.name)
            finished = await stub.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))
    finally:
        server.terminate()
        server.communicate()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert any(event.message == "taken up after a restart" for event in events)
    assert finished.state == "SUCCEEDED"
    assert [saved.step for saved in finished.checkpoints] == [saved.step for saved in unbroken.checkpoints]
    assert far_apart(finished.checkpoints[-1], unbroken.checkpoints[-1]) < 1e-6


async def test_a_second_server_on_one_root_is_told_who_holds_it_until_that_one_is_killed(tmp_path: Path) -> None:
    first = start(tmp_path)
    try:
        await port_of(first)
        second = start(tmp_path)
        said, _ = await asyncio.to_thread(second.communicate, timeout=60)
        assert second.returncode == ExitCode.TEMPORARY
        assert "CANDOR_TRAINER_ARTIFACTS" in said
        assert f"process {first.pid}" in said
        assert str(tmp_path) in said
        assert "Traceback" not in said
    finally:
        first.kill()
        first.communicate()
    third = start(tmp_path)
    try:
        assert await port_of(third)
    finally:
        third.terminate()
        third.communicate()
    assert third.returncode == ExitCode.PASS


async def test_a_root_is_free_again_once_its_server_has_stopped(serve: Any, tmp_path: Path) -> None:
    async with serve(tmp_path):
        with pytest.raises(CandorError, match=f"process {os.getpid()}") as caught:
            async with serve(tmp_path):
                pass
        assert caught.value.reason is Reason.ARTIFACTS_LOCKED
    async with serve(tmp_path):
        pass


async def test_a_root_that_cannot_be_made_is_said(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CandorError, match=r"CANDOR_TRAINER_ARTIFACTS: .* cannot be used"):
        async with serve(tmp_path / "file" / "artifacts"):
            pass


@pytest.mark.parametrize("lost", [0, -1], ids=["the first", "the last"])
async def test_an_adapter_that_somebody_removed_is_made_again(
    trainer: Any, make_spec: Spec, watch: Any, unbroken: pb.TrainingJob, lost: int
) -> None:
    """To the same weights within noise; the others stay as they are. A folder without its weights counts as removed."""
    request = pb.CreateTrainingJobRequest(spec=make_spec())
    job = await trainer.CreateTrainingJob(request)
    await watch(trainer, job.name)
    before = list((await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))).checkpoints)
    (Path(before.pop(lost).path) / "adapter_model.safetensors").unlink()
    again = await trainer.CreateTrainingJob(request)
    assert again.name == job.name
    await watch(trainer, job.name)
    after = await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))
    assert after.state == "SUCCEEDED", after.reason
    assert {each.digest for each in before} < {each.digest for each in after.checkpoints}
    assert max(far_apart(*pair) for pair in zip(after.checkpoints, unbroken.checkpoints, strict=True)) < 1e-5
