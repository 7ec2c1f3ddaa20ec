"""Candor in the cluster, or beside it where its pods do not run.

In it: the overlay cpu-only, and a slow model beside its two pretend ones. What a cluster lacks is made up for, so that the
rest is tried: without the image of Postgres the ledger is a file and there is one orchestrator; without a default
StorageClass artifacts lie on an emptyDir; services that make arms are left out where their images do not run.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chassis.testing import Call, FakeEndpoint, Fault, Sycophant
from chassis.testing.fake_endpoint.policies import read_table
from tools.manifests.objects import Object, of_kind, pods

Rendered = Callable[..., list[Object]]
CORE = Path(__file__).resolve().parents[3] / "services/orchestrator/data/tasks/core"
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
        """What the command line says, where docs/operations.md tells people to use it."""
        return str(self.cluster.run("exec", "deploy/operator", "--", "candor", *arguments).stdout)

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """Those at the orchestrator, by their ids."""
        found = map(json.loads, self.candor("evaluations", "list", "--json").splitlines())
        return {each["name"].removeprefix("evaluations/"): each for each in found}

    def restart_operator(self) -> None:
        """End its pods at once, and wait for others."""
        self.cluster.run("delete", "pod", "--selector=app.kubernetes.io/name=operator", "--grace-period=0", "--force")
        self.rollout("deployment/operator")

    @contextlib.contextmanager
    def orchestrator_away(self) -> Iterator[None]:
        """Without an orchestrator for the length of the block."""
        replicas = self.cluster.get("statefulset", "orchestrator")["spec"]["replicas"]
        self.cluster.run("scale", "statefulset/orchestrator", "--replicas=0")
        self.cluster.run(
            "wait", "pod", "--selector=app.kubernetes.io/name=orchestrator", "--for=delete", "--timeout=120s"
        )
        try:
            yield
        finally:
            self.cluster.run("scale", "statefulset/orchestrator", f"--replicas={replicas}")
        self.rollout("statefulset/orchestrator")

    def base_url(self, model: str) -> str:
        """Of one of the models v1, v2 and slow."""
        return f"http://model-{model}:8000/v1"


@dataclass
class Beside:
    """The same beside a cluster whose pods do not run: services and models here, and the operator under its account's token."""

    cluster: Any
    tools: Any
    folder: Path
    models: dict[str, FakeEndpoint]
    port: int
    serving: subprocess.Popen[str] | None = None
    operating: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start what is not running."""
        names = ("inference", "grader", "orchestrator")
        if self.serving is None:
            arguments = ("serve", *names, f"--state={self.folder}", f"--port={self.port}", "--log-level=ERROR")
            self.serving = _child("-m", "candor_cli", *arguments)
            assert self.serving.stdout is not None
            self.tools.until(lambda: "token" in self.serving.stdout.readline(), "the services serve")
        if self.operating is None:
            self.operating = _child(
                "-m",
                "candor_operator",
                KUBECONFIG=str(self.folder / "kubeconfig"),
                CANDOR_OPERATOR_TARGET=self.orchestrator,
                CANDOR_OPERATOR_TOKEN_FILE=str(self.folder / "token"),
                CANDOR_OPERATOR_NAMESPACES=json.dumps([self.cluster.namespace]),
                CANDOR_OPERATOR_POLL_SECONDS="1",
                CANDOR_OPERATOR_RETRY_SECONDS="5",
                CANDOR_OPERATOR_LOG_LEVEL="ERROR",
            )

    def stop(self) -> None:
        """Kill both."""
        for child in (self.serving, self.operating):
            if child is not None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
        self.serving = self.operating = None

    @property
    def orchestrator(self) -> str:
        return f"127.0.0.1:{self.port + 2}"

    def evaluations(self) -> dict[str, dict[str, Any]]:
        """See Installed."""
        where = (f"--orchestrator={self.orchestrator}", f"--token-file={self.folder / 'token'}")
        said, _ = _child("-m", "candor_cli", "evaluations", "list", "--json", *where).communicate(timeout=60)
        return {each["name"].removeprefix("evaluations/"): each for each in map(json.loads, said.splitlines())}

    def restart_operator(self) -> None:
        """See Installed."""
        operating, self.operating = self.operating, None
        assert operating is not None
        os.killpg(operating.pid, signal.SIGKILL)
        operating.communicate()
        self.start()

    @contextlib.contextmanager
    def orchestrator_away(self) -> Iterator[None]:
        """See Installed."""
        serving, self.serving = self.serving, None
        assert serving is not None
        os.killpg(serving.pid, signal.SIGKILL)
        serving.communicate()
        try:
            yield
        finally:
            self.start()

    def base_url(self, model: str) -> str:
        """See Installed."""
        return self.models[model].base_url


def _child(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CANDOR_")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def spec() -> Callable[..., dict[str, Any]]:
    """Makes documents on two of a stage's models, two cells an item."""

    def made(stage: Any, first: str = "v1", second: str = "v2", **more: Any) -> dict[str, Any]:
        arms = {
            name: {"endpoint": {"base_url": stage.base_url(model), "model": "support-bot"}}
            for name, model in (("before", first), ("after", second))
        }
        return {
            "name": "e2e",
            "arms": arms,
            "baseline": "before",
            "tasks": [{"name": "core"}],
            "conditions": {"contexts": ["none"], "beliefs": ["none", "asserts_false"]},
            "gate": {"margin_pp": 20, "margins_pp": {"adopts_belief": 20, "refusals": 20}},
            **more,
        }

    return made


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, problems: Callable[[str], str]) -> Any:
    """Where Evaluations come to their verdicts: in the cluster, or beside it where its pods do not run."""
    runs_nothing = any(problems(name) for name in NEEDED)
    return request.getfixturevalue("beside" if runs_nothing else "installed")


@pytest.fixture(scope="session")
def beside(
    cluster: Any,
    tools: Any,
    rendered: Rendered,
    definitions: None,
    rights: list[Object],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Beside]:
    """The operator and its orchestrator as processes of this machine."""
    folder = tmp_path_factory.mktemp("beside")
    config = cluster.json("config", "view", "--raw", "--flatten", "--minify")
    token = cluster.run("create", "token", "operator", "--duration=2h").stdout.strip()
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    (folder / "kubeconfig").write_text(json.dumps(config), encoding="utf-8")
    table = [row for path in sorted(CORE.glob("*.jsonl")) for row in read_table(path)]
    with contextlib.ExitStack() as stack:
        models = {
            name: stack.enter_context(FakeEndpoint(Sycophant(table=table, sycophancy_rate=rate), fault=_late(seconds)))
            for name, rate, seconds in (("v1", 0.05, 0.0), ("v2", 0.3, 0.0), ("slow", 0.3, 0.5))
        }
        found = Beside(cluster, tools, folder, models, tools.free_ports(3))
        stack.callback(found.stop)
        found.start()
        yield found


def _late(seconds: float) -> Callable[[Call], Fault | None]:
    return (lambda _call: Fault.delay(seconds)) if seconds else (lambda _call: None)


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
