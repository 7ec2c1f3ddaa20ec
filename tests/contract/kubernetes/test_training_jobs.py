"""The trainer's executor on a real cluster, with the rights that are deployed: what it says of Pods that cannot start.

The fake stands in for all of this in the trainer's own tests; here a real scheduler, controller and kubelet choose the words.
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from chassis.errors import CandorError, Reason
from chassis.testing.fake_kubernetes import Client, Hands
from services.trainer.backends.kubernetes.cluster import Cluster
from services.trainer.backends.kubernetes.executor import KubernetesExecutor
from services.trainer.backends.kubernetes.manifest import Ways
from services.trainer.backends.kubernetes.options import Options
from services.trainer.domain.job import Job
from services.trainer.domain.spec import TrainingSpec
from services.trainer.ports import Waiting
from tests.contract.kubernetes.objects import until

Object = dict[str, Any]
KUBECONFIG = os.environ.get("CANDOR_TEST_KUBECONFIG", "")
MANIFESTS = Path(__file__).parents[3] / "deploy" / "k8s" / "base" / "trainer"
IMAGE = "candor.invalid/trainer:0.1.0"


class Ground(NamedTuple):
    """A namespace with the trainer's account, Role and PodTemplate, and an executor that has that account's token."""

    hands: Hands
    executor: KubernetesExecutor
    root: Path

    def template(self, change: Callable[[Object], object]) -> None:
        path = f"{self.hands.core}/podtemplates/training"
        known = self.hands.client.get(path)
        change(known["template"]["spec"])
        self.hands.client.update(path, known)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    if not KUBECONFIG:
        pytest.skip("Pods that cannot start were not tried on a real cluster: CANDOR_TEST_KUBECONFIG names none")
    config = YAML(typ="safe").load(Path(KUBECONFIG).read_text("utf-8"))
    hands = Hands(Client.of_kubeconfig(Path(KUBECONFIG)), f"candor-training-{os.urandom(4).hex()}")
    hands.ready()
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{hands.namespace}"
    hands.client.create(f"{hands.core}/serviceaccounts", {"metadata": {"name": "trainer"}})
    for item in YAML(typ="safe").load_all((MANIFESTS / "jobs.yaml").read_text("utf-8")):
        hands.client.create(f"{roles}/{item['kind'].lower()}s", item)
    template = YAML(typ="safe").load((MANIFESTS / "training.yaml").read_text("utf-8"))
    container = template["template"]["spec"]["containers"][0]
    container["image"] = IMAGE
    container["resources"] = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    template["template"]["spec"]["volumes"] = [{"name": each, "emptyDir": {}} for each in ("tmp", "artifacts")]
    hands.client.create(f"{hands.core}/podtemplates", template)
    path = f"{hands.core}/serviceaccounts/trainer/token"
    token = hands.client.create(path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    mine = copy.deepcopy(config)
    mine["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    mine["contexts"][0]["context"]["namespace"] = hands.namespace
    file = tmp_path / "kubeconfig"
    with file.open("w", encoding="utf-8") as opened:
        YAML(typ="safe").dump(mine, opened)
    options = Options(
        ways=Ways(retries=1, ttl_seconds=60),
        template="training",
        place_seconds=40,
        fault_seconds=40,
        queue_seconds=40,
        poll_seconds=1,
    )
    yield Ground(hands, KubernetesExecutor(Cluster(kubeconfig=file), options, tmp_path), tmp_path)
    hands.client.delete(f"/api/v1/namespaces/{hands.namespace}")
    hands.client.http.close()


async def waits_for(ground: Ground) -> str:
    """What a training job is said to wait for first; then it is let go of and abandoned."""
    job, stop, told = Job(id="0a" * 12, spec=TrainingSpec(executor="kubernetes")), asyncio.Event(), ""
    async for report in ground.executor.run(job, ground.root, stop):
        assert isinstance(report, Waiting)
        told = report.why
        if told not in ("the Pod is being started", "waits for its Pod", "waits for a node"):
            stop.set()
    await ground.executor.abandon(job)
    await ground.executor.close()
    assert not ground.hands.jobs()
    assert not ground.hands.pods()
    return told


def claim(spec: Object) -> None:
    spec["volumes"][1] = {"name": "artifacts", "persistentVolumeClaim": {"claimName": "candor-artifacts"}}


def secret(spec: Object) -> None:
    """Of an image that every node has: the pause image is what sandboxes are made of."""
    spec["volumes"].append({"name": "s", "secret": {"secretName": "none"}})
    spec["containers"][0]["volumeMounts"].append({"name": "s", "mountPath": "/s"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda spec: spec["containers"][0]["resources"].update(limits={"nvidia.com/gpu": "1"}),
            ("no GPU is free: 0/", "Insufficient nvidia.com/gpu"),
        ),
        (lambda spec: spec.update(nodeSelector={"candor.dev/pool": "none"}), ("no node can take the Pod: 0/",)),
        (claim, ("a volume is missing: ", 'persistentvolumeclaim "candor-artifacts" not found')),
        (lambda _: None, (f"the image {IMAGE} cannot be pulled: ",)),
        (
            lambda spec: spec["containers"][0].update(image="Not An Image"),
            ("the image Not An Image cannot be pulled: InvalidImageName: ",),
        ),
        (secret, ("a volume cannot be mounted: FailedMount: ", 'secret "none" not found')),
    ],
    ids=["no GPU", "no pool", "no claim", "no image", "bad image name", "no secret"],
)
async def test_a_pod_that_cannot_start_says_why(ground: Ground, change: Any, words: tuple[str, ...]) -> None:
    ground.template(change)
    told = await waits_for(ground)
    assert all(word in told for word in words), told


async def test_a_quota_that_is_used_up_is_told_for_the_pod_and_for_the_job(ground: Ground) -> None:
    quotas = f"{ground.hands.core}/resourcequotas"
    ground.hands.client.create(quotas, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}})
    until(lambda: ground.hands.client.get(f"{quotas}/q")["status"].get("used"))
    told = await waits_for(ground)
    assert told.startswith("the namespace's quota has no room for the Pod: ")
    assert "exceeded quota" in told
    ground.hands.client.update(f"{quotas}/q", {"metadata": {"name": "q"}, "spec": {"hard": {"count/jobs.batch": "0"}}})
    until(lambda: "count/jobs.batch" in ground.hands.client.get(f"{quotas}/q")["status"].get("used", {}))
    (ground.root / "reports.jsonl").unlink(missing_ok=True)
    told = await waits_for(ground)
    assert told.startswith("the namespace's quota has no room for the Job: ")


async def test_a_wait_that_takes_too_long_leaves_nothing_behind(ground: Ground) -> None:
    ground.template(lambda spec: spec.update(nodeSelector={"candor.dev/pool": "none"}))
    job = Job(id="0a" * 12, spec=TrainingSpec(executor="kubernetes"))
    with pytest.raises(CandorError, match="no node can take the Pod") as caught:
        async for _ in ground.executor.run(job, ground.root, asyncio.Event()):
            pass
    await ground.executor.close()
    assert caught.value.reason is Reason.TRAINING_NOT_STARTED
    until(lambda: not ground.hands.jobs() and not ground.hands.pods())
