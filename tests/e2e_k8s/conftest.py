"""A real cluster: `CANDOR_TEST_KUBECONFIG=FILE python -m pytest tests/e2e_k8s`, as its administrator.

Everything lies in a namespace of its own, which is deleted afterwards, and so is what belongs to no namespace. The images
are those of the manifests (`candor/NAME:0.1.0`), or CANDOR_TEST_IMAGES=PREFIX:TAG for `PREFIX/NAME:TAG`; they are never
pulled anew. A probe pod tells which of them run here (CANDOR_TEST_PODS=none tries none). Tests that need running pods skip where none does; the rest needs
an API server with its controllers and no node at all.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import select
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.manifests.objects import Object, of_kind, pods
from tools.manifests.render import K8S, kubectl, render

NAMES = ("cli", "orchestrator", "inference", "grader", "rewriter", "trainer", "operator")
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
KUBECONFIG = os.environ.get("CANDOR_TEST_KUBECONFIG", "")
_HERE = Path(__file__).parent
_NO_CLUSTER = "CANDOR_TEST_KUBECONFIG names no cluster: nothing was tried on a real API server"
_OURS = re.compile(r"^candor/([a-z]+)(?::|$)")
_CANNOT_START = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerError"}
_PROBE_SECONDS = 120.0


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Without a cluster the whole package is skipped."""
    for item in items:
        if not KUBECONFIG and _HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=_NO_CLUSTER))


def until(holds: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    """What it returns, once that is true; looks twice a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        select.select([], [], [], 0.5)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass(frozen=True)
class Cluster:
    """kubectl on a namespace."""

    program: str
    kubeconfig: str
    namespace: str

    def run(self, *arguments: str, data: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [self.program, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments]
        done = subprocess.run(command, input=data, check=False, capture_output=True, text=True, timeout=600)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--output=json").stdout)

    def get(self, kind: str, name: str) -> Any:
        return self.json("get", kind, name)

    def list(self, kind: str, selector: str = "") -> list[Any]:
        found: list[Any] = self.json("get", kind, f"--selector={selector}")["items"]
        return found

    def apply(self, *objects: Object, dry_run: bool = False, check: bool = True) -> subprocess.CompletedProcess[str]:
        more = ["--dry-run=server"] if dry_run else []
        data = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        command = ("apply", "--server-side", "--force-conflicts", *more, "--filename=-")
        return self.run(*command, data=data, check=check)

    def delete(self, kind: str, name: str) -> None:
        self.run("delete", kind, name, "--ignore-not-found", "--wait=false")

    def patch_status(self, kind: str, name: str, status: Mapping[str, Any]) -> None:
        """What a kubelet would say."""
        patch = json.dumps({"status": status})
        self.run("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={patch}")

    def wait(self, what: str, holds: str, seconds: int = 180) -> None:
        """`condition=Ready`, `jsonpath={.status.phase}=Running`, `delete`."""
        done = self.run("wait", what, f"--for={holds}", f"--timeout={seconds}s", check=False)
        if done.returncode:
            told = self.run("describe", what, check=False).stdout
            raise AssertionError(f"{what}: not {holds} within {seconds} s\n{done.stderr}\n{told}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, in a namespace of our own."""
    program = kubectl()
    if program is None:
        pytest.skip("no kubectl of 1.30 or newer here (make setup fetches one): nothing was tried on a real API server")
    found = Cluster(program, KUBECONFIG, f"candor-e2e-{uuid.uuid4().hex[:6]}")
    labels = {**RESTRICTED, "app.kubernetes.io/part-of": "candor"}
    found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found.namespace, "labels": labels}})
    until(lambda: found.run("get", "serviceaccount", "default", check=False).returncode == 0, "the account of pods")
    yield found
    found.run("delete", "namespace", found.namespace, "--wait=false")


@pytest.fixture(scope="session")
def image() -> Callable[[str], str]:
    """The name of one of our images here."""
    prefix, _, tag = os.environ.get("CANDOR_TEST_IMAGES", "candor:0.1.0").rpartition(":")
    if not prefix or "/" in tag:
        raise pytest.UsageError("CANDOR_TEST_IMAGES must be PREFIX:TAG, for images PREFIX/cli:TAG and so on")
    return lambda name: f"{prefix}/{name}:{tag}"


@pytest.fixture(scope="session")
def rendered(cluster: Cluster, image: Callable[[str], str]) -> Callable[..., list[Object]]:
    """Renders folders of deploy/k8s into our namespace, with our images."""

    @cache
    def objects(*folders: str) -> list[Object]:
        with tempfile.TemporaryDirectory() as place:
            up = os.path.relpath(K8S, place)
            overlay = {"namespace": cluster.namespace, "resources": [f"{up}/{folder}" for folder in folders]}
            (Path(place) / "kustomization.yaml").write_text(json.dumps(overlay), encoding="utf-8")
            found = render(Path(place))
        for pod in pods(found):
            for container in pod.containers:
                if ours := _OURS.match(container["image"]):
                    container.update(image=image(ours[1]), imagePullPolicy="IfNotPresent")
        return found

    return lambda *folders: copy.deepcopy(objects(*folders))


@pytest.fixture(scope="session")
def definitions(cluster: Any, rendered: Callable[..., list[Object]]) -> Iterator[None]:
    """The custom resources; those that were not there before are removed in the end."""
    objects = of_kind(rendered("crd"), "CustomResourceDefinition")
    names = [each["metadata"]["name"] for each in objects]
    there = {name for name in names if cluster.run("get", "crd", name, check=False).returncode == 0}
    cluster.apply(*objects)
    for name in names:
        cluster.wait(f"crd/{name}", "condition=Established", 60)
    yield
    # Their operator lets go of them, if there is one; without, the namespace would wait for it for ever.
    cluster.run("delete", "evaluations", "--all", "--timeout=60s", check=False)
    for each in cluster.run("get", "evaluations", "--output=name", check=False).stdout.split():
        cluster.run("patch", each, "--type=merge", '--patch={"metadata":{"finalizers":[]}}', check=False)
    for name in set(names) - there:
        cluster.delete("crd", name)


@pytest.fixture(scope="session")
def small_pod() -> Callable[..., Object]:
    """A pod that the restricted profile takes, for one command."""

    def made(name: str, image: str, command: Sequence[str], **more: Any) -> Object:
        security = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        container = {
            "name": "main",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            "securityContext": security,
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        }
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            **more,
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}

    return made


@pytest.fixture(scope="session")
def problems(cluster: Cluster, image: Callable[[str], str], small_pod: Callable[..., Object]) -> Callable[[str], str]:
    """Why pods of an image do not run here; empty where one did. An image is named in full, or by our name for it."""

    @cache
    def problem(name: str) -> str:
        if os.environ.get("CANDOR_TEST_PODS") == "none":
            return "CANDOR_TEST_PODS=none: no pod was started"
        pod = f"probe-{uuid.uuid4().hex[:6]}"
        command = ["python", "-c", ""] if name in NAMES else ["true"]
        cluster.apply(small_pod(pod, image(name) if name in NAMES else name, command))
        deadline = time.monotonic() + _PROBE_SECONDS
        status: dict[str, Any] = {}
        while status.get("phase") != "Succeeded":
            status = cluster.get("pod", pod)["status"]
            said = _trouble(status)
            if status.get("phase") == "Failed" or said or time.monotonic() > deadline:
                cluster.delete("pod", pod)
                return f"no pod of {name} runs here: {said or json.dumps(status.get('conditions', status))[:300]}"
            select.select([], [], [], 0.5)
        cluster.delete("pod", pod)
        return ""

    return problem


def _trouble(status: Mapping[str, Any]) -> str:
    waiting = [each.get("state", {}).get("waiting", {}) for each in status.get("containerStatuses", [])]
    return next(
        (f"{each['reason']}: {each.get('message', '')}" for each in waiting if each.get("reason") in _CANNOT_START), ""
    )


@pytest.fixture(scope="session")
def running_pods(problems: Callable[[str], str]) -> None:
    """For tests of what only a pod that runs can show."""
    if why := problems("cli"):
        pytest.skip(f"{why}; what needs pods that run was not tried")


def free_ports(count: int) -> int:
    """The first of so many free ports in a row on loopback."""
    for first in range(20_000 + os.getpid() % 3_000 * 4, 32_000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")


@dataclass(frozen=True)
class Tools:
    """Helpers, for modules of tests that cannot import this one."""

    until: Callable[..., Any]
    free_ports: Callable[[int], int]


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools(until, free_ports)
