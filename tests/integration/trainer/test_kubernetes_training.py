"""A tiny model really trained by Pods (processes of a fake node), while trainers and Pods come and go."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import grpc
from candor.trainer.v1 import trainer_pb2 as pb
from candor.trainer.v1 import trainer_pb2_grpc

from chassis.testing.fake_kubernetes import Node

Spec = Callable[..., pb.TrainingSpec]
NEVER = 1e9


def at_step(step: int) -> Callable[[pb.TrainingEvent], bool]:
    return lambda event: event.progress.step >= step


def start(cluster: Any) -> subprocess.Popen[str]:
    """A trainer as a process of its own."""
    settings = {
        "CANDOR_TRAINER_ARTIFACTS": str(cluster.root),
        "CANDOR_TRAINER_EGRESS__ANY_PATH": "true",
        "CANDOR_TRAINER_DEVICE": "cpu",
        "CANDOR_TRAINER_TORCH_THREADS": "1",
        "CANDOR_TRAINER_EXECUTOR": "kubernetes",
        "CANDOR_TRAINER_KUBERNETES__KUBECONFIG": str(cluster.settings["kubernetes"].kubeconfig),
        "CANDOR_TRAINER_KUBERNETES__POLL_SECONDS": "0.2",
        "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
    }
    command = [sys.executable, "-m", "services.trainer"]
    return subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


async def connect(server: subprocess.Popen[str]) -> grpc.aio.Channel:
    assert server.stdout is not None
    while (found := re.search(r"port=\D*(\d+)", line := await asyncio.to_thread(server.stdout.readline))) is None:
        assert line, "the server ended"
    return grpc.aio.insecure_channel(f"127.0.0.1:{found.group(1)}")


async def finished(stub: Any, name: str) -> pb.TrainingJob:
    job = await stub.GetTrainingJob(pb.GetTrainingJobRequest(name=name))
    assert job.state == "SUCCEEDED", job.reason
    assert [saved.step for saved in job.checkpoints] == [10, 20, 30]
    assert job.progress.step == 30
    return job


async def test_a_job_trains_on_while_its_trainer_is_dead_and_is_found_again(
    cluster: Any, make_spec: Spec, watch: Any
) -> None:
    with Node(cluster.server, cluster.hands) as node:
        server = start(cluster)
        try:
            async with await connect(server) as channel:
                stub = trainer_pb2_grpc.TrainerServiceStub(channel)
                job = await stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=make_spec()))
                await watch(stub, job.name, at_step(3))
                server.send_signal(signal.SIGKILL)
        finally:
            server.kill()
            server.communicate()
        reports = cluster.root / "training" / job.name.removeprefix("trainingJobs/") / "reports.jsonl"
        await asyncio.to_thread(cluster.wait, lambda: '"finished": true' in reports.read_text())
        server = start(cluster)
        try:
            async with await connect(server) as channel:
                stub = trainer_pb2_grpc.TrainerServiceStub(channel)
                events = await watch(stub, job.name)
                await finished(stub, job.name)
        finally:
            server.terminate()
            server.communicate()
        assert len(node.pods) == 1
    assert len(cluster.hands.jobs()) == 1, "it stays for a while, for whoever wants to see it"
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    told = {event.progress.step for event in events}
    assert set(range(1, 31)) <= told, "nothing that was reported meanwhile is lost"
    assert any(event.message == "taken up after a restart" for event in events)


async def test_a_pod_that_is_taken_away_saves_its_state_and_another_one_goes_on(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any
) -> None:
    impatient = cluster.settings["kubernetes"].model_copy(update={"place_seconds": 5.0})  # it trains longer before
    settings = cluster.settings | {"kubernetes": impatient}
    with Node(cluster.server, cluster.hands) as node:
        node.gap = 1_000_000
        async with serve(cluster.root, **settings, state_seconds=NEVER) as stub:
            job = await stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=make_spec()))
            before = await watch(stub, job.name, at_step(13))
            await asyncio.to_thread(node.evict, node.pods[0])
            waits = "waits for its Pod"
            await watch(stub, job.name, lambda event: event.message == waits, after=before[-1].sequence)
            node.gap = 0
            events = await watch(stub, job.name)
            await finished(stub, job.name)
        assert len(node.pods) == 2
    (resumed,) = [event.message for event in events if event.message.startswith("goes on after step")]
    assert int(resumed.rpartition(" ")[2]) >= 13, "the state was saved when it was told to end"


async def test_a_cancelled_job_frees_its_place_and_goes_on_when_it_is_created_again(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any
) -> None:
    request = pb.CreateTrainingJobRequest(spec=make_spec())
    with Node(cluster.server, cluster.hands) as node:
        async with serve(cluster.root, **cluster.settings, state_seconds=NEVER) as stub:
            job = await stub.CreateTrainingJob(request)
            await watch(stub, job.name, at_step(3))
            cancelled = await stub.CancelTrainingJob(pb.CancelTrainingJobRequest(name=job.name))
            assert cancelled.state == "CANCELLED"
            assert not cluster.hands.jobs()
            assert not cluster.hands.pods()
            again = await stub.CreateTrainingJob(request)
            assert again.name == job.name
            events = await watch(stub, job.name)
            await finished(stub, job.name)
        assert len(node.pods) == 2
    (resumed,) = [event.message for event in events if event.message.startswith("goes on after step")]
    assert int(resumed.rpartition(" ")[2]) >= 3
