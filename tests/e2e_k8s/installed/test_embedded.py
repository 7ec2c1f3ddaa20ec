"""Everything in one pod: on a claim it comes to its verdict, on what the kubelet takes away with the pod it refuses to start."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tools.manifests.objects import Object, of_kind

pytestmark = pytest.mark.timeout(1800)  # the first test installs everything
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(
    cluster: Any, installed: Any, rendered: Callable[..., list[Object]], spec: Callable[..., dict[str, Any]]
) -> Iterator[Run]:
    """Runs the Job of jobs/embedded to its end; returns how its pod's container ended."""
    names: list[str] = []

    def ended(name: str, condition: str, volume: dict[str, Any] | None = None) -> dict[str, Any]:
        objects = rendered("jobs/embedded")
        (config,), (job,) = of_kind(objects, "ConfigMap"), of_kind(objects, "Job")
        config["data"]["evaluation.yaml"] = json.dumps(spec(installed, "v1", "v1"))
        job["metadata"]["name"] = name
        pod = job["spec"]["template"]["spec"]
        pod["containers"][0]["args"].append("--limit=40")
        pod["containers"][0]["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
        if volume is not None:
            state = next(each for each in pod["volumes"] if each["name"] == "state")
            state.pop("persistentVolumeClaim")
            state.update(volume)
        names.append(name)
        cluster.apply(*[each for each in objects if volume is None or each["kind"] != "PersistentVolumeClaim"])
        cluster.wait(f"job/{name}", f"condition={condition}", 400)
        (found,) = cluster.list("pod", f"batch.kubernetes.io/job-name={name}")
        terminated: dict[str, Any] = found["status"]["containerStatuses"][0]["state"]["terminated"]
        return terminated

    yield ended
    for name in names:
        cluster.delete("job", name)


def test_on_a_claim_it_comes_to_its_verdict(run: Run, installed: Any) -> None:
    if any("no default StorageClass" in note for note in installed.notes):
        pytest.skip("no default StorageClass: nothing was kept on a claim")
    found = run("embedded-claim", "Complete")
    assert found["exitCode"] == 0
    assert found["message"].startswith("PASS: ")


@pytest.mark.parametrize(
    ("name", "volume", "lies_on"),
    [
        ("disk", {"emptyDir": {"sizeLimit": "1Gi"}}, "an emptyDir"),
        ("memory", {"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}, "memory"),
    ],
)
def test_on_an_emptydir_it_spends_nothing(run: Run, name: str, volume: dict[str, Any], lies_on: str) -> None:
    found = run(f"embedded-{name}", "Failed", volume)
    assert found["exitCode"] == 78
    assert found["message"].startswith(
        f"STATE_NOT_DURABLE: /var/lib/candor/state lies on {lies_on} and goes with the pod"
    )
    assert "PersistentVolumeClaim" in found["message"]
