"""The operator's image against an API server."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chassis.testing.fake_kubernetes import Client, FakeKubernetes
from tools.containers.images import ROOT
from tools.containers.pods import eventually

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_NAMESPACE = "candor-image"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """Of an API server that knows evaluations."""
    with FakeKubernetes() as cluster:
        path = cluster.kubeconfig(tmp_path / "kubeconfig", namespace=_NAMESPACE)
        path.chmod(0o644)
        client = Client.of_kubeconfig(path)
        for file in ("evaluations.yaml", "peering.yaml"):
            for definition in YAML(typ="safe").load_all((ROOT / "deploy/k8s/crd" / file).read_text()):
                client.create(_DEFINITIONS, definition)
        client.create("/api/v1/namespaces", {"metadata": {"name": _NAMESPACE}})
        yield path
        client.http.close()


def test_the_operator_is_alive_locked_down(podman: Any, image: Any, kubeconfig: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "KUBECONFIG": "/kubeconfig",
        "CANDOR_OPERATOR_TARGET": "127.0.0.1:1",
        "CANDOR_OPERATOR_NAMESPACES": json.dumps([_NAMESPACE]),
        "CANDOR_OPERATOR_LIVENESS_PORT": str(port),
    }
    container = podman(
        *("run", "--detach", "--read-only", "--read-only-tmpfs=false", "--user", "65532:65532", "--cap-drop=all"),
        *("--security-opt", "no-new-privileges", "--network", "host", "--tmpfs", "/tmp"),
        *("--volume", f"{kubeconfig}:/kubeconfig:ro"),
        *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
        image("operator"),
    )

    def alive() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    try:
        eventually(alive, lambda: str(podman.logs(container)))
        podman("stop", "--time", "30", container)
        assert podman.inspect(container)["State"]["ExitCode"] == 0, podman.logs(container)
    finally:
        podman("rm", "--force", container)
