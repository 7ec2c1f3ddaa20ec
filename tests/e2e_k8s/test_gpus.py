"""GPUs that a node pretends to have: what asks for them waits, says why, and goes nowhere else. Nothing runs."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tools.manifests.objects import Object, pods
from tools.manifests.render import compose

COMPONENTS = ("gpu", "plaintext", "postgres-trial", "model-cache", "images")


@pytest.fixture(scope="module")
def gpu_pod(cluster: Any) -> Callable[[str], Object]:
    """A pod from the template of a workload that the component `gpu` puts on GPUs, with nothing to mount."""
    objects = compose(COMPONENTS)

    def made(name: str) -> Object:
        template = next(
            pod
            for pod in pods(objects)
            if any("nvidia.com/gpu" in c["resources"].get("limits", {}) for c in pod.containers)
        )
        spec: dict[str, Any] = {**template.spec, "restartPolicy": "Never", "volumes": []}
        spec.pop("serviceAccountName", None)
        spec.pop("topologySpreadConstraints", None)
        spec.pop("initContainers", None)
        (container,) = spec["containers"]
        resources = {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"memory": "16Mi", "nvidia.com/gpu": container["resources"]["limits"]["nvidia.com/gpu"]},
        }
        kept = {key: container[key] for key in ("name", "image", "securityContext")}
        spec["containers"] = [{**kept, "resources": resources}]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}

    return made


@pytest.fixture
def gpu_node(cluster: Any, gpu_pod: Callable[[str], Object]) -> Iterator[str]:
    """A node with a tainted pool's labels and two GPUs, and no kubelet."""
    name = f"candor-e2e-{uuid.uuid4().hex[:6]}"
    labels = {**gpu_pod("any")["spec"].get("nodeSelector", {}), "kubernetes.io/hostname": name}
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [taint]},
    }
    cluster.apply(node)
    resources = {"cpu": "8", "memory": "32Gi", "pods": "20", "nvidia.com/gpu": "2"}
    ready = {"type": "Ready", "status": "True", "reason": "Pretended", "message": "no kubelet"}
    cluster.patch_status("node", name, {"capacity": resources, "allocatable": resources, "conditions": [ready]})
    yield name
    cluster.run("delete", "node", name, "--ignore-not-found", "--wait=false")


def unschedulable(cluster: Any, tools: Any, name: str) -> str:
    """Why the scheduler found no node."""

    def said() -> str:
        conditions = cluster.get("pod", name)["status"].get("conditions", [])
        return next(
            (c.get("message", "") for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"), ""
        )

    return str(tools.until(said, f"a reason why {name} waits"))


@pytest.fixture
def pod_names(cluster: Any) -> Iterator[Callable[[str], str]]:
    made: list[str] = []

    def fresh(what: str) -> str:
        made.append(f"{what}-{uuid.uuid4().hex[:6]}")
        return made[-1]

    yield fresh
    for name in made:
        cluster.run(
            "delete", "pod", name, "--ignore-not-found", "--force", "--grace-period=0", "--wait=false", check=False
        )


def test_without_a_gpu_pool_a_pod_waits_and_says_so(
    cluster: Any, tools: Any, gpu_pod: Callable[[str], Object], pod_names: Callable[[str], str]
) -> None:
    name = pod_names("waits")
    cluster.apply(gpu_pod(name))
    said = unschedulable(cluster, tools, name)
    assert "0/" in said
    assert any(
        words in said for words in ("Insufficient nvidia.com/gpu", "node affinity/selector", "no nodes available")
    ), said


def test_a_pod_goes_to_the_pool_that_has_gpus_and_the_third_waits_for_one(
    cluster: Any, tools: Any, gpu_pod: Callable[[str], Object], gpu_node: str, pod_names: Callable[[str], str]
) -> None:
    placed = [pod_names("placed"), pod_names("placed")]
    for name in placed:
        cluster.apply(gpu_pod(name))
        node = tools.until(lambda: cluster.get("pod", name)["spec"].get("nodeName"), f"{name} on a node")  # noqa: B023
        assert node == gpu_node
    late = pod_names("late")
    cluster.apply(gpu_pod(late))
    assert "Insufficient nvidia.com/gpu" in unschedulable(cluster, tools, late)


def test_what_needs_no_gpu_stays_off_the_pool(
    cluster: Any,
    tools: Any,
    gpu_node: str,
    small_pod: Callable[..., Object],
    image: Callable[[str], str],
    pod_names: Callable[[str], str],
) -> None:
    name = pod_names("plain")
    selector = {"kubernetes.io/hostname": gpu_node}
    cluster.apply(small_pod(name, image("cli"), ["true"], nodeSelector=selector))
    assert "untolerated taint" in unschedulable(cluster, tools, name)
