"""Cancelling a job on a cluster: the Job is deleted, whatever hiccups the API server has meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.trainer.backends.kubernetes.cluster import Cluster, RefusedError
from services.trainer.backends.kubernetes.executor import KubernetesExecutor
from services.trainer.backends.kubernetes.manifest import Ways
from services.trainer.backends.kubernetes.options import Options
from services.trainer.domain.job import Job
from services.trainer.domain.spec import TrainingSpec

Object = dict[str, Any]
KNOWN: Object = {"spec": {"template": {"spec": {}}}}
TIMEOUT, BUSY, BROKEN = RefusedError(0, "timed out"), RefusedError(429, "too many"), RefusedError(500, "etcd")
FORBIDDEN = RefusedError(403, "forbidden")
JOB = Job(id="0a" * 12, spec=TrainingSpec(executor="kubernetes"))


class FakeCluster(Cluster):
    """Answers in order; afterwards there is no Job, and deletions are accepted."""

    def __init__(self, *, gets: Sequence[Object | RefusedError], deletions: Sequence[RefusedError] = ()) -> None:
        super().__init__()
        self.accepted = 0
        self._gets = list(gets)
        self._deletions = list(deletions)

    async def job(self, name: str) -> Object | None:
        answer = self._gets.pop(0) if self._gets else None
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    async def delete_job(self, name: str) -> None:
        if self._deletions:
            raise self._deletions.pop(0)
        self.accepted += 1


def executor(cluster: Cluster) -> KubernetesExecutor:
    patience = {"place_seconds": 1.0, "fault_seconds": 1.0, "queue_seconds": 1.0, "poll_seconds": 0.001}
    options = Options(ways=Ways(retries=1, ttl_seconds=60), template="training", **patience)
    return KubernetesExecutor(cluster, options, Path("/artifacts"))


@pytest.mark.parametrize("hiccup", [TIMEOUT, BUSY, BROKEN], ids=["timeout", "429", "500"])
async def test_a_hiccup_of_the_server_does_not_keep_a_job_from_being_cancelled(hiccup: RefusedError) -> None:
    cluster = FakeCluster(gets=[hiccup, KNOWN, hiccup, KNOWN], deletions=[hiccup, hiccup])
    await executor(cluster).abandon(JOB)
    assert cluster.accepted == 1


async def test_after_the_deletion_was_accepted_no_answer_means_that_the_job_trains_on() -> None:
    cluster = FakeCluster(gets=[KNOWN, *[BROKEN] * 50])
    await executor(cluster).abandon(JOB)
    assert cluster.accepted == 1


@pytest.mark.parametrize(
    "cluster",
    [
        FakeCluster(gets=[KNOWN], deletions=[FORBIDDEN]),
        FakeCluster(gets=[KNOWN], deletions=[TIMEOUT] * 100),
        FakeCluster(gets=[TIMEOUT] * 100),
    ],
    ids=["forbidden", "no deletion", "no answer at all"],
)
async def test_a_job_that_could_not_be_deleted_is_said_to_train_on(cluster: FakeCluster) -> None:
    with pytest.raises(CandorError, match="could not be deleted, and may train on: ") as caught:
        await executor(cluster).abandon(JOB)
    assert caught.value.reason is Reason.TRAINING_FAILED
    assert not cluster.accepted


async def test_a_job_that_is_not_there_needs_no_deletion() -> None:
    cluster = FakeCluster(gets=[])
    await executor(cluster).abandon(JOB)
    assert not cluster.accepted
