"""What the Job controller makes of our exit codes. Nothing runs: the pods' endings are told as a kubelet would tell them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis.errors import ExitCode
from tools.manifests.objects import Object

Rendered = Callable[..., list[Object]]
FINAL = ("FAIL", "INCONCLUSIVE", "INVALID", "USAGE", "BAD_DOCUMENT", "CANCELLED")
EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}


class Job:
    """The Job of jobs/evaluate, whose pods no scheduler takes."""

    def __init__(self, cluster: Any, tools: Any, job: Object, name: str) -> None:
        self._cluster, self._tools, self.name = cluster, tools, name
        job["metadata"]["name"] = name
        job["spec"]["template"]["spec"]["schedulerName"] = "nobody"
        cluster.apply(job)

    def pod(self, *, but: str = "") -> str:
        """The name of the pod that has not ended."""

        def living() -> str:
            pods = self._cluster.list("pod", f"batch.kubernetes.io/job-name={self.name}")
            return next(
                (
                    p["metadata"]["name"]
                    for p in pods
                    if p["status"]["phase"] == "Pending" and p["metadata"]["name"] != but
                ),
                "",
            )

        return str(self._tools.until(living, f"a pod of {self.name}"))

    def ends(self, pod: str, code: int, *conditions: dict[str, str]) -> None:
        """The pod's container ends with an exit code."""
        container = {
            "name": "cli",
            "image": "any",
            "imageID": "any",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}},
        }
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}
        if conditions:
            status["conditions"] = list(conditions)
        self._cluster.patch_status("pod", pod, status)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._cluster.get("job", self.name)["status"]
        return found

    def ended(self, kind: str) -> dict[str, Any]:
        """The condition with which the Job ended."""
        self._cluster.wait(f"job/{self.name}", f"condition={kind}", 60)
        return next(each for each in self.status()["conditions"] if each["type"] == kind and each["status"] == "True")


@pytest.fixture
def start(cluster: Any, tools: Any, rendered: Rendered) -> Iterator[Callable[[str], Job]]:
    objects = rendered("jobs/evaluate")
    cluster.apply(next(each for each in objects if each["kind"] == "ConfigMap"))
    started: list[Job] = []

    def made(name: str) -> Job:
        started.append(
            Job(cluster, tools, next(each for each in rendered("jobs/evaluate") if each["kind"] == "Job"), name)
        )
        return started[-1]

    yield made
    for job in started:
        cluster.delete("job", job.name)


@pytest.mark.parametrize("name", FINAL)
def test_an_ending_that_another_pod_would_repeat_fails_the_job_at_once(start: Callable[[str], Job], name: str) -> None:
    code = int(ExitCode[name])
    job = start(f"final-{code}")
    job.ends(job.pod(), code)
    condition = job.ended("Failed")
    assert condition["reason"] == "PodFailurePolicy"
    assert f"exit code {code}" in condition["message"]
    assert job.status()["failed"] == 1


def test_pass_completes_the_job(start: Callable[[str], Job]) -> None:
    job = start("passes")
    job.ends(job.pod(), 0)
    job.ended("Complete")


@pytest.mark.parametrize("code", [70, 75, 137])
def test_what_may_go_better_next_time_is_tried_again_and_counts(
    start: Callable[[str], Job], tools: Any, code: int
) -> None:
    job = start(f"counted-{code}")
    first = job.pod()
    job.ends(first, code)
    assert job.pod(but=first)
    assert job.status()["failed"] == 1
    assert not [each for each in job.status().get("conditions", []) if each["type"] == "Failed"]


def test_a_pod_that_is_drained_away_is_replaced_and_does_not_count(start: Callable[[str], Job]) -> None:
    """Whatever its exit code: 130 would fail the Job and 75 would count, if the order of the rules were another."""
    job = start("drained")
    last = ""
    for code in (130, 75):
        pod = job.pod(but=last)
        job.ends(pod, code, EVICTED)
        last = pod
    assert job.pod(but=last)
    assert not job.status().get("failed")


def test_a_condition_that_is_no_longer_true_ignores_nothing(start: Callable[[str], Job]) -> None:
    job = start("not-drained")
    job.ends(job.pod(), 1, {**EVICTED, "status": "False"})
    assert job.ended("Failed")["reason"] == "PodFailurePolicy"
