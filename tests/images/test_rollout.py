"""Replicas found through DNS and balanced; a restart of all of them, one by one, loses no call."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.containers.objects import Objects
from tools.containers.pods import Network, Pod, eventually
from tools.containers.rollout import Deployment
from tools.containers.template import Template

_LOAD = Path(__file__).with_name("steady_load.py")
_METRIC = re.compile(r'^candor_rpc_calls_total\{.*method="[^"]*GradeAnswers".*\} (\S+)$', re.MULTILINE)


@dataclass
class Load:
    """The caller's container."""

    podman: Any
    container: str

    def log(self) -> str:
        return str(self.podman.logs(self.container))

    def answered(self) -> int:
        lines = self.log().splitlines()
        return int(json.loads(lines[-1])["answered"]) if lines else 0

    def end(self) -> tuple[int, list[str]]:
        """Calls answered, and the errors of the others."""
        self.podman("stop", "--time", "60", self.container)
        last = json.loads(self.log().splitlines()[-1])
        return last["answered"], last["lost"]


@contextmanager
def steady_load(podman: Any, network: Network, image: str, target: str) -> Iterator[Load]:
    container = f"{network.name}-load"
    podman(
        *("run", "--detach", "--name", container, "--network", network.name, "--read-only"),
        *("--volume", f"{_LOAD}:/steady_load.py:ro", "--entrypoint", "python", image, "/steady_load.py", target),
    )
    yield Load(podman, container)


def graded(pod: Pod) -> float:
    """Calls of GradeAnswers that a replica has finished, as its metrics say."""
    with urllib.request.urlopen(f"http://{pod.address}:9090/metrics", timeout=10) as page:
        return sum(float(value) for value in _METRIC.findall(page.read().decode()))


@pytest.fixture
def grader(network: Network, objects: Objects, tmp_path: Path) -> Deployment:
    return Deployment(network, Template.of(objects.get("Deployment", "grader"), objects, tmp_path), "grader")


def more(load: Load, calls: int) -> Callable[[], bool]:
    """Whether so many more calls are answered than now."""
    wanted = load.answered() + calls
    return lambda: load.answered() >= wanted


def test_calls_are_spread_over_replicas_and_a_rolling_restart_loses_none(
    podman: Any, network: Network, image: Any, grader: Deployment
) -> None:
    grader.scale(2)
    first = list(grader.pods)
    with steady_load(podman, network, image("cli"), "dns:///grader:50051") as load:
        for pod in first:
            eventually(lambda pod=pod: graded(pod) > 0, lambda pod=pod: f"{pod.name} gets no calls")
        before = [graded(pod) for pod in first]
        eventually(more(load, 100), load.log)
        shares = [graded(pod) - had for pod, had in zip(first, before, strict=True)]
        assert min(shares) >= 0.4 * sum(shares), f"one replica has most of the calls: {shares}"

        codes = grader.restart()

        eventually(more(load, 100), load.log)
        for pod in grader.pods:
            eventually(lambda pod=pod: graded(pod) > 20, lambda pod=pod: f"{pod.name} gets no calls")
        answered, lost = load.end()

    assert lost == []
    assert answered > 200
    assert codes == [0, 0], "a replica did not end by itself within its grace"
    assert not {pod.name for pod in first} & {pod.name for pod in grader.pods}
