"""One run of a training job, look by look: how long it may wait, what may go wrong, and when its Job is deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chassis.errors import CandorError, Reason
from services.trainer.backends.kubernetes import following
from services.trainer.backends.kubernetes.cluster import Cluster
from services.trainer.backends.kubernetes.following import Following
from services.trainer.backends.kubernetes.manifest import Ways
from services.trainer.backends.kubernetes.options import Options
from services.trainer.backends.process.channel import TOLD
from services.trainer.domain.job import Progress
from services.trainer.ports import Done, Report, Started, Stepped, Waiting

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


Happening = Callable[[], object]


class FakeCluster(Cluster):
    """Shows one look after the other, each twice, because what is seen once is no news; between them things happen."""

    def __init__(self, *course: Look | Happening) -> None:
        super().__init__()
        self.deleted: list[str] = []
        self._course = [each for item in course for each in ([item, item] if isinstance(item, Look) else [item])]
        self._now = Look(job())

    async def job(self, name: str) -> Object:
        while self._course:
            item = self._course.pop(0)
            if isinstance(item, Look):
                self._now = item
                break
            item()
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
            return [report async for report in self.following.reports(self.made)]

    async def made(self) -> Object:
        raise AssertionError("the Job is there")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """What happens, after which the training comes to its end."""
    (tmp_path / "reports.jsonl").touch()

    def make(*course: Look | Happening, options: Options = OPTIONS) -> Run:
        cluster = FakeCluster(*course, lambda: tell(tmp_path, "ended", finished=True))
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


def failed(reason: str, exit_code: int) -> Look:
    condition = {"type": "Failed", "status": "True", "reason": reason, "message": "m"}
    ended = {"state": {"terminated": {"exitCode": exit_code, "reason": "Error"}}}
    return Look(job(conditions=[condition]), [pod("Failed", containerStatuses=[ended])])


FAILED = failed("BackoffLimitExceeded", 1)


class Volume:
    """The job's folder, which can be made to fail: what should be a file is a folder."""

    def __init__(self, folder: Path) -> None:
        self._file, self._aside = folder / "reports.jsonl", folder / "aside"

    def fails(self) -> None:
        self._file.rename(self._aside)
        self._file.mkdir()

    def works(self) -> None:
        self._file.rmdir()
        self._aside.rename(self._file)


async def test_a_volume_that_fails_for_a_while_costs_a_run_nothing(run: Callable[..., Run], tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    begun = run(RUNNING, volume.fails, RUNNING, volume.works, lambda: tell(tmp_path, "started", step=3, versions={}))
    assert await begun.reports() == [Started(3, {}), Done()]
    assert not begun.cluster.deleted


async def test_a_job_that_ends_while_the_volume_fails_is_judged_when_its_reports_are_read(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    volume = Volume(tmp_path)

    def mended() -> None:
        volume.works()
        tell(tmp_path, "failed", reason="OUT_OF_MEMORY", message="no memory")

    begun = run(RUNNING, volume.fails, RUNNING, FAILED, mended)
    with pytest.raises(CandorError, match="no memory") as caught:
        await begun.reports()
    assert caught.value.reason is Reason.OUT_OF_MEMORY


async def test_a_volume_that_fails_for_long_ends_the_run_and_its_job(run: Callable[..., Run], tmp_path: Path) -> None:
    begun = run(RUNNING, Volume(tmp_path).fails, RUNNING, options=replace(OPTIONS, fault_seconds=0.0))
    expected = r"reports.* cannot be read for 0 s \(CANDOR_TRAINER_KUBERNETES__FAULT_SECONDS\): .*Is a directory"
    with pytest.raises(CandorError, match=expected) as caught:
        await begun.reports()
    assert caught.value.reason is Reason.TRAINING_FAILED
    assert begun.cluster.deleted == ["j"]


async def test_a_trainer_that_comes_back_before_its_volume_does_waits_for_it(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    tell(tmp_path, "stepped", step=3)
    volume, begun = Volume(tmp_path), run(RUNNING)
    volume.fails()
    reports = []
    async for report in begun.following.reports(begun.made):
        reports.append(report)
        if isinstance(report, Waiting):
            volume.works()
    (why,) = told(reports)
    assert why.startswith("the shared volume cannot be used: [Errno 21] Is a directory")
    assert reports[1:] == [Stepped(Progress(step=3), past=True), Done()]
    assert not begun.cluster.deleted


async def test_a_full_disk_keeps_nobody_from_hearing_what_failed(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "log.txt").mkdir()  # it cannot be written
    begun = run(RUNNING, FAILED)
    with pytest.raises(CandorError, match=r"BackoffLimitExceeded.*The log ends with: loading / the last words"):
        await begun.reports()
    assert begun.cluster.deleted == ["j"]
    begun = run(RUNNING, lambda: tell(tmp_path, "failed", reason="DISK_FULL", message="no space left"))
    with pytest.raises(CandorError, match="no space left") as caught:
        await begun.reports()
    assert caught.value.reason is Reason.DISK_FULL
    assert begun.cluster.deleted == ["j"]


async def test_a_defect_leaves_no_job_behind(run: Callable[..., Run]) -> None:
    begun = run(RUNNING, Look({"metadata": {}}))
    with pytest.raises(KeyError):
        await begun.reports()
    assert begun.cluster.deleted == ["j"]


async def test_a_caller_that_cannot_keep_a_report_leaves_no_job_behind(run: Callable[..., Run]) -> None:
    begun = run(RUNNING, NO_POD)

    async def kept() -> None:
        async with aclosing(begun.following.reports(begun.made)) as reports:
            async for _ in reports:
                raise CandorError(Reason.DISK_FULL, "no space")

    with pytest.raises(CandorError, match="no space"):
        await kept()
    assert begun.cluster.deleted == ["j"]


async def test_a_trainer_that_stops_leaves_the_job_to_the_next_one(run: Callable[..., Run]) -> None:
    def stop() -> None:
        begun.stop.set()

    begun = run(RUNNING, stop, RUNNING)
    assert await begun.reports() == []
    assert not begun.cluster.deleted


async def test_a_trainer_that_is_ended_leaves_the_job_to_the_next_one(run: Callable[..., Run]) -> None:
    def end() -> None:
        task.cancel()

    begun = run(RUNNING, end, RUNNING)
    task = asyncio.create_task(begun.reports())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not begun.cluster.deleted


async def test_the_reason_that_a_worker_has_told_is_waited_for(run: Callable[..., Run], tmp_path: Path) -> None:
    told = failed("PodFailurePolicy", TOLD)
    begun = run(RUNNING, told, told, lambda: tell(tmp_path, "failed", reason="OUT_OF_MEMORY", message="no memory"))
    with pytest.raises(CandorError, match="no memory") as caught:
        await begun.reports()
    assert caught.value.reason is Reason.OUT_OF_MEMORY


async def test_a_reason_that_does_not_come_is_not_waited_for_for_ever(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LAG_SECONDS", 0.0)
    begun = run(RUNNING, failed("PodFailurePolicy", TOLD))
    with pytest.raises(CandorError, match="PodFailurePolicy"):
        await begun.reports()
    begun = run(RUNNING, Look(job(conditions=[{"type": "Complete", "status": "True"}])))
    with pytest.raises(CandorError, match="is complete, but its reports did not come"):
        await begun.reports()
    assert begun.cluster.deleted == ["j"]
