"""A training job on a cluster: the trainer under its own account, a Pod of the deployed template, both replaced on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.manifests.objects import Object, of_kind, pods

ROOT = "/var/lib/candor/artifacts"
SMALL = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}}

# A tiny model of random weights, and 60 conversations.
MAKE = f"""
import json, pathlib
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
make_tiny_checkpoint(pathlib.Path("{ROOT}/tiny"))
line = json.dumps({{"messages": [{{"role": "user", "content": "Where?"}}, {{"role": "assistant", "content": "Here."}}]}})
pathlib.Path("{ROOT}/train.jsonl").write_text((line + "\\n") * 60)
"""
# Run in the trainer's pod: create the job (the same is the same job), tell how it stands.
ASK = f"""
import grpc, hashlib, json, pathlib
from candor.trainer.v1 import trainer_pb2 as pb, trainer_pb2_grpc
data = pathlib.Path("{ROOT}/train.jsonl")
spec = pb.TrainingSpec(dataset=str(data), dataset_digest="sha256:" + hashlib.sha256(data.read_bytes()).hexdigest(),
    training=pb.TrainingSettings(learning_rate=0.01, batch_size=6, epochs=60, checkpoint_epochs=[4]))
spec.base.path = "{ROOT}/tiny"
stub = trainer_pb2_grpc.TrainerServiceStub(grpc.insecure_channel("127.0.0.1:50051"))
job = stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec), timeout=300)
told = {{"state": job.state, "reason": job.reason, "step": job.progress.step, "executor": job.spec.executor,
    "checkpoints": [each.step for each in job.checkpoints]}}
print(json.dumps(told))
"""


@pytest.fixture
def trainer(
    cluster: Any,
    tools: Any,
    image: Callable[[str], str],
    problems: Callable[[str], str],
    rendered: Callable[..., list[Object]],
    small_pod: Callable[..., Object],
) -> Callable[[], dict[str, Any]]:
    """A trainer with a volume, a model and data; gives what tells how its job stands."""
    if why := problems("trainer"):
        pytest.skip(f"{why}; a training Job was not tried")
    classes = cluster.json("get", "storageclasses")["items"]
    if not any("is-default-class" in json.dumps(each["metadata"]) for each in classes):
        pytest.skip("no default StorageClass here: a training Job was not tried")
    objects = [each for each in rendered("base") if each["metadata"]["name"].startswith("train")]
    for pod in pods(objects):
        for container in pod.containers:
            container |= {"image": image("trainer"), "imagePullPolicy": "IfNotPresent", "resources": SMALL}
    for settings in of_kind(objects, "ConfigMap"):
        settings["data"] |= {"CANDOR_TRAINER_ALLOW_PLAINTEXT": "true", "CANDOR_TRAINER_TORCH_THREADS": "1"}
    # As other tests may have made it here already.
    (claim,) = of_kind(rendered("overlays/cpu-only"), "PersistentVolumeClaim")
    volume = {"name": "artifacts", "persistentVolumeClaim": {"claimName": "candor-artifacts"}}
    maker = small_pod("make-model", image("trainer"), ["python", "-c", MAKE], volumes=[volume])
    (container,) = maker["spec"]["containers"]
    maker["spec"]["securityContext"]["fsGroup"] = 65532
    container |= {"resources": SMALL, "env": [{"name": "HOME", "value": ROOT}]}
    container["volumeMounts"] = [{"name": "artifacts", "mountPath": ROOT}]
    container["env"].append({"name": "TMPDIR", "value": ROOT})
    cluster.apply(claim, maker)
    cluster.wait("pod/make-model", "jsonpath={.status.phase}=Succeeded", 300)
    cluster.apply(*objects)

    def ask() -> dict[str, Any]:
        cluster.run("rollout", "status", "deployment/trainer", "--timeout=300s")
        done = cluster.run("exec", "deployment/trainer", "--", "python", "-c", ASK, check=False)
        return (
            dict(json.loads(done.stdout))
            if done.returncode == 0
            else {"executor": "", "state": "", "step": 0, "reason": done.stderr}
        )

    return ask


@pytest.mark.timeout(1200)
def test_a_job_trains_through_an_eviction_and_without_its_trainer(
    cluster: Any, tools: Any, trainer: Callable[[], dict[str, Any]]
) -> None:
    first = trainer()
    assert first["executor"] == "kubernetes", first
    tools.until(lambda: trainer()["step"] >= 5, "the training's first steps", 300)
    (pod,) = cluster.list("pods", "app.kubernetes.io/name=training")
    cluster.run("delete", "pod", "--selector=app.kubernetes.io/name=trainer", "--grace-period=0", "--force")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"]}}
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod['metadata']['name']}/eviction"
    cluster.run("create", f"--raw={path}", "--filename=-", data=json.dumps(eviction))

    def ended() -> dict[str, Any] | None:
        found = trainer()
        return found if found["state"] in ("SUCCEEDED", "FAILED") else None

    job = tools.until(ended, "the training's end", 600)
    assert job["state"] == "SUCCEEDED", job
    assert job["checkpoints"] == [40, 600]
    (made,) = cluster.list("jobs", "app.kubernetes.io/name=training")
    assert made["spec"]["podFailurePolicy"]
    names = {each["metadata"]["name"] for each in cluster.list("pods", "app.kubernetes.io/name=training")}
    assert names - {pod["metadata"]["name"]}, "another Pod came to the end"
