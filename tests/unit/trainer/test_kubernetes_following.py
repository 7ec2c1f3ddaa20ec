"""One run of a training job, look by look: how long it may wait, what may go wrong, and when its Job is deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chassis.errors import CandorError, Reason
from services.trainer.backends.kubernetes.cluster import Cluster
from services.trainer.backends.kubernetes.following import Following
from services.trainer.backends.kubernetes.manifest import Ways
from services.trainer.backends.kubernetes.options import Options
from services.trainer.ports import Done, Report, Waiting

Object = dict[str, Any]
OPTIONS = Options(
    ways=Ways(retries=1, ttl_seconds=60),
    template="training",
    place_seconds=3600,
    fault_seconds=600,
    queue_seconds=4 * 3600,
    poll_seconds=0,
    tail_seconds=0.001,
)


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def job(*, suspend: bool = False, **status: Any) -> Object:
    """One that is five hours old."""
    metadata = {"name": "j", "uid": "job-uid", "creationTimestamp": ago(hours=5)}
    return {"metadata": metadata, "spec": {"suspend": suspend}, "status": status}


def pod(phase: str, *, node: str = "n", **status: Any) -> Object:
    """Of three hours ago."""
    metadata = {"name": "p", "uid": "pod-uid", "creationTimestamp": ago(hours=3)}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": phase, **status}}


def unscheduled(reason: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": "m"}
    return pod("Pending", node="", conditions=[condition])


def suspended() -> Object:
    """For three hours."""
    condition = {"type": "Suspended", "status": "True", "lastTransitionTime": ago(hours=3)}
    return job(suspend=True, conditions=[condition])


def refused(message: str, at: str) -> Object:
    return {"reason": "FailedCreate", "message": message, "involvedObject": {"uid": "job-uid"}, "lastTimestamp": at}


class Look(NamedTuple):
    """What the cluster shows at once."""

    job: Object
    pods: Sequence[Object] = ()
    warnings: Sequence[Object] = ()


RUNNING = Look(job(), [pod("Running")])
EVICTED = pod("Failed", reason="Evicted", message="The node was low on resource: memory.")
NO_POD = Look(job())


class FakeCluster(Cluster):
    """Shows one look after the other, each twice, because what is seen once is no news; then something happens."""

    def __init__(self, looks: Sequence[Look], then: Callable[[], object]) -> None:
        super().__init__()
        self.deleted: list[str] = []
        self._looks = [look for look in looks for _ in range(2)]
        self._then = then
        self._now = self._looks[0]

    async def job(self, name: str) -> Object:
        if self._looks:
            self._now = self._looks.pop(0)
        else:
            self._then()
        return self._now.job

    async def pods(self, job: str) -> list[Object]:
        return list(self._now.pods)

    async def warnings(self) -> list[Object]:
        return list(self._now.warnings)

    async def log(self, pod: str, lines: int) -> str:
        return "loading\nthe last words\n"

    async def delete_job(self, name: str) -> None:
        self.deleted.append(name)


def tell(folder: Path, kind: str, **values: Any) -> None:
    """As the worker in a Pod does."""
    with (folder / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **values}) + "\n")


class Run(NamedTuple):
    """A run of a Job that an earlier look has made."""

    cluster: FakeCluster
    following: Following
    stop: asyncio.Event

    async def reports(self) -> list[Report]:
        async with asyncio.timeout(10):
            return [report async for report in self.following.reports(self._made)]

    async def _made(self) -> Object:
        raise AssertionError("the Job is there")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """After the looks the training comes to its end, unless something else is said."""
    (tmp_path / "reports.jsonl").touch()

    def make(*looks: Look, then: Callable[[], object] | None = None, options: Options = OPTIONS) -> Run:
        cluster = FakeCluster(looks, then or (lambda: tell(tmp_path, "ended", finished=True)))
        stop = asyncio.Event()
        return Run(cluster, Following(cluster, options, "j", tmp_path, stop), stop)

    return make


def told(reports: Sequence[Report]) -> list[str]:
    return [report.why for report in reports if isinstance(report, Waiting)]


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        (NO_POD, "waits for its Pod"),
        (
            Look(job(), [EVICTED]),
            "the Pod ended before the training did; the Job starts another one: Evicted: The node was low on resource: memory.",
        ),
        (Look(job(), (), [refused("violates PodSecurity", ago(hours=4))]), "waits for its Pod"),
        (
            Look(job(), (), [refused("violates PodSecurity", ago(minutes=1))]),
            "the cluster refuses the Pod: violates PodSecurity",
        ),
        (Look(job(suspend=True)), "the Job is suspended"),
    ],
    ids=["no Pod yet", "evicted by its node", "refused long ago", "refused now", "suspended just now"],
)
async def test_a_job_that_trained_for_hours_waits_anew_for_its_next_pod(
    run: Callable[..., Run], taken: Look, why: str
) -> None:
    begun = run(RUNNING, taken, RUNNING)
    reports = await begun.reports()
    assert reports[-1] == Done()
    assert told(reports) == [why]
    assert not begun.cluster.deleted


async def test_a_trainer_that_comes_back_while_the_next_pod_is_due_waits_for_it(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    tell(tmp_path, "started", step=0, versions={})
    begun = run(NO_POD)
    assert (await begun.reports())[-1] == Done()
    assert not begun.cluster.deleted


async def test_a_job_that_never_trained_does_not_begin_its_wait_anew_with_its_trainer(run: Callable[..., Run]) -> None:
    begun = run(NO_POD)
    with pytest.raises(CandorError, match="did not start within 3600 s") as caught:
        await begun.reports()
    assert caught.value.reason is Reason.TRAINING_NOT_STARTED
    assert begun.cluster.deleted == ["j"]


async def test_a_job_that_lost_its_pod_does_not_wait_for_ever(run: Callable[..., Run]) -> None:
    impatient = replace(OPTIONS, place_seconds=0.0)
    begun = run(RUNNING, NO_POD, options=impatient)
    with pytest.raises(CandorError, match="did not go on within 0 s"):
        await begun.reports()
    assert begun.cluster.deleted == ["j"]


@pytest.mark.parametrize(
    ("queued", "released"),
    [(Look(suspended()), NO_POD), (Look(job(), [unscheduled("SchedulingGated")]), Look(job(), [unscheduled("")]))],
    ids=["a suspended Job", "a gated Pod"],
)
async def test_the_wait_in_a_queue_is_no_part_of_the_wait_for_a_place(
    run: Callable[..., Run], queued: Look, released: Look
) -> None:
    begun = run(queued, released)
    assert (await begun.reports())[-1] == Done()
    assert not begun.cluster.deleted
