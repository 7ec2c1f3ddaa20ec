"""Candor in the cluster: the overlay cpu-only with the operator, and a slow model beside its two pretend ones.

What a cluster lacks is made up for, so that the rest is tried: without the image of Postgres the ledger is a file and
there is one orchestrator; without a default StorageClass artifacts lie on an emptyDir; services that make arms are left
out where their images do not run.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tools.manifests.objects import Object, of_kind, pods

Rendered = Callable[..., list[Object]]
NEEDED = ("cli", "orchestrator", "inference", "grader", "operator")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_HOSTS = '["model-v1:8000","model-v2:8000","model-slow:8000"]'


@dataclass
class Installed:
    """What runs, and how to ask it."""

    cluster: Any
    tools: Any
    notes: list[str] = field(default_factory=list)

    def rollout(self, *workloads: str) -> None:
        """Return when all pods of these are ready."""
        for workload in workloads:
            done = self.cluster.run("rollout", "status", workload, "--timeout=300s", check=False)
            told = self.cluster.run("get", "pods,events", check=False).stdout if done.returncode else ""
            assert done.returncode == 0, f"{workload} does not get ready; {self.notes}\n{done.stderr}\n{told}"

    def candor(self, *arguments: str) -> str:
        """What a command line says, in the orchestrator's pod."""
        command = ["exec", "orchestrator-0", "--container=service", "--", "python", "-m", "candor_cli", *arguments]
        return str(self.cluster.run(*command, "--orchestrator=127.0.0.1:50051").stdout)

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """Those at the orchestrator, by their ids."""
        found = map(json.loads, self.candor("evaluations", "list", "--json").splitlines())
        return {each["name"].removeprefix("evaluations/"): each for each in found}

    def restart_operator(self) -> None:
        """End its pods at once, and wait for others."""
        self.cluster.run("delete", "pod", "--selector=app.kubernetes.io/name=operator", "--grace-period=0", "--force")
        self.rollout("deployment/operator")

    def spec(self, first: str = "v1", second: str = "v2", **more: Any) -> dict[str, Any]:
        """A document of 40 questions on two of the models v1, v2 and slow."""
        endpoint = lambda model: {"base_url": f"http://model-{model}:8000/v1", "model": "support-bot"}  # noqa: E731
        gates = ("adopts_belief", "context", "user_right", "refusals")
        return {
            "name": "e2e",
            "arms": {"before": {"endpoint": endpoint(first)}, "after": {"endpoint": endpoint(second)}},
            "baseline": "before",
            "tasks": [{"name": "core"}],
            "conditions": {"contexts": ["none"], "beliefs": ["none", "asserts_false"]},
            "gate": {"margin_pp": 20, "margins_pp": dict.fromkeys(gates[:1] + gates[3:], 20)},
            **more,
        }


@pytest.fixture(scope="session")
def rights(cluster: Any, rendered: Rendered) -> Iterator[list[Object]]:
    """Accounts, roles and bindings, under names of our own where they belong to no namespace."""
    objects = [each for each in _objects(rendered) if each["kind"] in ("ServiceAccount", *_BELONGING)]
    for each in objects:
        if each["kind"].startswith("Cluster"):
            each["metadata"]["name"] += f"-{cluster.namespace}"
        if each["kind"] == "ClusterRoleBinding":
            each["roleRef"]["name"] += f"-{cluster.namespace}"
        for subject in each.get("subjects", []):
            subject["namespace"] = cluster.namespace
    cluster.apply(*objects)
    yield objects
    for each in objects:
        if each["kind"].startswith("Cluster"):
            cluster.delete(each["kind"], each["metadata"]["name"])


_BELONGING = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def _objects(rendered: Rendered) -> list[Object]:
    overlay = rendered("overlays/cpu-only")
    if not any(each["metadata"]["name"] == "operator" for each in of_kind(overlay, "Deployment")):
        overlay += rendered("base/operator")
    return overlay


@pytest.fixture(scope="session")
def installed(
    cluster: Any,
    tools: Any,
    rendered: Rendered,
    definitions: None,
    rights: list[Object],
    running_pods: None,
    problems: Callable[[str], str],
) -> Installed:
    """Everything, ready."""
    for name in NEEDED:
        if why := problems(name):
            pytest.skip(f"{why}; Candor was not installed")
    found = Installed(cluster, tools)
    objects = _fitted(found, _objects(rendered), problems)
    cluster.apply(*[each for each in objects if each["kind"] not in ("Namespace", "ServiceAccount", *_BELONGING)])
    found.rollout(
        *(f"{each['kind']}/{each['metadata']['name']}" for each in of_kind(objects, "Deployment", "StatefulSet"))
    )
    return found


def _fitted(found: Installed, objects: list[Object], problems: Callable[[str], str]) -> list[Object]:
    """The objects, without what this cluster cannot run."""
    objects.append(_slow(objects, "Deployment"))
    objects.append(_slow(objects, "Service"))
    _container(objects, "inference")["env"].append({"name": "CANDOR_INFERENCE_EGRESS__ALLOWED_HOSTS", "value": _HOSTS})
    orchestrator = _container(objects, "orchestrator")
    for name in ("rewriter", "trainer"):
        if why := problems(name):
            found.notes.append(why)
            objects = _without(objects, name)
            orchestrator["env"].append({"name": f"CANDOR_ORCHESTRATOR_{name.upper()}_TARGET", "value": ""})
    postgres = next(pod for pod in pods(objects) if pod.owner["metadata"]["name"] == "postgres")
    if why := problems(postgres.containers[0]["image"]):
        found.notes.append(why)
        objects = _without(objects, "postgres")
        ledger = "sqlite:////var/lib/candor/artifacts/ledger.db"
        orchestrator["env"].append({"name": "CANDOR_ORCHESTRATOR_LEDGER_URL", "value": ledger})
        next(iter(of_kind(objects, "StatefulSet")))["spec"]["replicas"] = 1
    classes = found.cluster.list("storageclass")
    if not any(each["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true" for each in classes):
        found.notes.append("no default StorageClass: artifacts on emptyDirs")
        for pod in pods(objects):
            for volume in pod.spec.get("volumes", []):
                if volume.pop("persistentVolumeClaim", None):
                    volume["emptyDir"] = {"sizeLimit": "1Gi"}
    return objects


def _slow(objects: Sequence[Object], kind: str) -> Object:
    """The second model under another name, taking half a second for each reply."""
    text = json.dumps(next(each for each in of_kind(objects, kind) if each["metadata"]["name"] == "model-v2"))
    model: Object = copy.deepcopy(json.loads(text.replace("model-v2", "model-slow")))
    if kind == "Deployment":
        model["spec"]["template"]["spec"]["containers"][0]["args"].append("--delay=0.5")
    return model


def _container(objects: Sequence[Object], name: str) -> dict[str, Any]:
    pod = next(pod for pod in pods(objects) if pod.owner["metadata"]["name"] == name)
    container: dict[str, Any] = pod.spec["containers"][0]
    return container


def _without(objects: Sequence[Object], name: str) -> list[Object]:
    kinds = ("Deployment", "StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy")
    return [each for each in objects if each["kind"] not in kinds or each["metadata"]["name"] != name]
