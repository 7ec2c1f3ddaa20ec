"""The trainer as its callers meet it: a real server, a real channel, real child processes, a real (tiny) model."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from candor.trainer.v1 import trainer_pb2 as pb
from candor.trainer.v1 import trainer_pb2_grpc
from ruamel.yaml import YAML

from chassis.egress import Egress
from chassis.testing.fake_kubernetes import Client, FakeKubernetes, Hands
from chassis.testing.running import running
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
from services.trainer import bootstrap
from services.trainer.settings import KubernetesSettings, TrainerSettings

Stub = trainer_pb2_grpc.TrainerServiceStub
Serve = Callable[..., AbstractAsyncContextManager[Stub]]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("torch", "trl", "peft"):
        pytest.importorskip(name, reason=f"training was not tested: {name} is not installed")
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def conversations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty conversations of one to three exchanges."""
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    lines = []
    for number in range(60):
        turns = [
            {"role": role, "content": content}
            for turn in range(1 + number % 3)
            for role, content in (
                ("user", f"What is {number} + {turn}?"),
                ("assistant", f"It is {number + turn}." + " Gladly!" * (number % 5)),
            )
        ]
        lines.append(json.dumps({"messages": turns}))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def make_spec(base: Path, conversations: Path) -> Callable[..., pb.TrainingSpec]:
    """A short job; settings and paths may be given."""

    def make(dataset: Path = conversations, model: Path = base, **settings: object) -> pb.TrainingSpec:
        wanted = {"learning_rate": 0.01, "epochs": 3, "batch_size": 6, "checkpoint_epochs": [1, 2], **settings}
        spec = pb.TrainingSpec(
            dataset=str(dataset),
            dataset_digest="sha256:" + hashlib.sha256(dataset.read_bytes()).hexdigest(),
            training=pb.TrainingSettings(**wanted),
        )
        spec.base.path = str(model)
        return spec

    return make


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Serve the trainer on a folder for the length of a block."""

    @asynccontextmanager
    async def block(artifacts: Path, **changes: object) -> AsyncIterator[Stub]:
        given = {"egress": Egress.embedded(), "torch_threads": 1, "state_seconds": 0, "drain_seconds": 2}
        # Timing a few steps first costs seconds; one test asks for it.
        given |= {"estimate_time": False, **changes}
        settings = TrainerSettings(artifacts=artifacts, **given)  # type: ignore[arg-type]
        async with (
            running(bootstrap.build(settings), settings) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield trainer_pb2_grpc.TrainerServiceStub(channel)

    return block


@pytest.fixture
async def trainer(serve: Serve, tmp_path: Path) -> AsyncIterator[Stub]:
    async with serve(tmp_path) as stub:
        yield stub


@pytest.fixture(scope="session")
def watch() -> Callable[..., object]:
    """Events of a job up to one that a condition holds for, or to its end."""

    async def until(
        stub: Stub, name: str, enough: Callable[[pb.TrainingEvent], bool] = lambda _: False, after: int = 0
    ) -> Sequence[pb.TrainingEvent]:
        events = []
        call = stub.WatchTrainingJob(pb.WatchTrainingJobRequest(name=name, after_sequence=after), timeout=120)
        async for event in call:
            events.append(event)
            if enough(event):
                call.cancel()
                break
        return events

    return until


class Ground(NamedTuple):
    """A fake cluster with the PodTemplate that is deployed, and what a trainer needs to use it."""

    server: FakeKubernetes
    hands: Hands
    root: Path
    settings: dict[str, Any]

    def template(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the PodTemplate."""
        path = f"{self.hands.core}/podtemplates/training"
        known = self.hands.client.get(path)
        change(known)
        self.hands.client.update(path, known)

    def wait(self, look: Callable[[], Any], seconds: float = 120) -> Any:
        """What `look` gives once it gives something."""
        end, pause = time.monotonic() + seconds, threading.Event()
        while not (found := look()):
            assert time.monotonic() < end, "it did not come about in time"
            pause.wait(0.05)
        return found

    def job(self, name: str) -> str:
        """The name of a training job's Job, once it is there."""
        found = self.wait(lambda: [each for each in self.hands.jobs() if name in each["metadata"]["name"]])
        return str(found[0]["metadata"]["name"])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Ground]:
    """Nothing moves on it by itself."""
    manifest = Path(__file__).parents[3] / "deploy" / "k8s" / "base" / "trainer" / "training.yaml"
    template = YAML(typ="safe").load(manifest.read_text("utf-8"))
    root = tmp_path / "artifacts"
    root.mkdir()
    for mount in template["template"]["spec"]["containers"][0]["volumeMounts"]:
        mount["mountPath"] = str(root) if mount["name"] == "artifacts" else mount["mountPath"]
    with FakeKubernetes() as server:
        hands = Hands(Client.of_url(server.url), "candor")
        hands.ready()
        hands.client.create(f"{hands.core}/podtemplates", template)
        file = server.kubeconfig(tmp_path / "kubeconfig", namespace="candor")
        kubernetes = KubernetesSettings(kubeconfig=file, poll_seconds=0.1, retries=1)
        yield Ground(server, hands, root, {"executor": "kubernetes", "kubernetes": kubernetes, "device": "cpu"})
        hands.client.http.close()
