"""All executors, on real ground: a child process that trains a tiny model, a Job of a fake cluster that does, a provider's API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from chassis.egress import Egress, Guard
from chassis.testing.fake_finetuning import FakeFineTuning
from chassis.testing.fake_kubernetes import Account, Client, FakeKubernetes, Hands, Node
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
from services.trainer.backends.kubernetes.cluster import Cluster
from services.trainer.backends.kubernetes.executor import KubernetesExecutor
from services.trainer.backends.kubernetes.manifest import Ways
from services.trainer.backends.kubernetes.options import Options
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


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesExecutor]:
    """An executor on a cluster that runs Pods as processes, with the PodTemplate and the Role that are deployed."""
    root = tmp_path_factory.getbasetemp()
    manifests = Path(__file__).parents[3] / "deploy" / "k8s" / "base" / "trainer"
    yaml = YAML(typ="safe")
    template = yaml.load((manifests / "training.yaml").read_text("utf-8"))
    for mount in template["template"]["spec"]["containers"][0]["volumeMounts"]:
        mount["mountPath"] = str(root) if mount["name"] == "artifacts" else mount["mountPath"]
    role = next(each for each in yaml.load_all((manifests / "jobs.yaml").read_text("utf-8")) if each["kind"] == "Role")
    options = Options(
        ways=Ways(retries=1, ttl_seconds=60),
        template="training",
        place_seconds=120,
        fault_seconds=120,
        queue_seconds=120,
        poll_seconds=0.2,
        tail_seconds=0.05,
        device="cpu",
        threads=1,
        state_seconds=0,
    )
    with FakeKubernetes() as server:
        server.account("admin", Account("system:admin"))
        server.account("trainer", Account("system:serviceaccount:candor:trainer", role["rules"], "candor"))
        place = tmp_path_factory.mktemp("cluster")
        admin = server.kubeconfig(place / "admin", token="admin")
        mine = server.kubeconfig(place / "trainer", token="trainer", namespace="candor")
        hands = Hands(Client.of_kubeconfig(admin), "candor")
        hands.ready()
        hands.client.create(f"{hands.core}/podtemplates", template)
        with Node(server, hands):
            yield KubernetesExecutor(Cluster(kubeconfig=mine), options, root)
        hands.client.http.close()


@pytest.fixture(params=["process", "kubernetes", "openai"])
async def ground(request: pytest.FixtureRequest, data: Path) -> AsyncIterator[Ground]:
    training = Training(learning_rate=0.01, epochs=3, batch_size=8, checkpoint_epochs=(1, 2))
    if request.param == "process":
        base = str(request.getfixturevalue("model"))
        spec = TrainingSpec(base=base, dataset=str(data), training=training)
        yield Ground(ProcessExecutor(device="cpu", threads=1, state_seconds=0, estimates_time=False), spec)
        return
    if request.param == "kubernetes":
        spec = TrainingSpec(
            base=str(request.getfixturevalue("model")), dataset=str(data), training=training, executor="kubernetes"
        )
        executor = request.getfixturevalue("cluster")
        yield Ground(executor, spec)
        await executor.close()
        return
    with FakeFineTuning() as provider:
        spec = TrainingSpec(
            dataset=str(data),
            training=training,
            executor="openai",
            provider=Provider(base_url=provider.base_url, model="small"),
        )
        provider_executor = ProviderExecutor(Guard(Egress.embedded()), poll_seconds=0.01)
        yield Ground(provider_executor, spec)
        await provider_executor.close()
