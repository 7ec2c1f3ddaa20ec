"""What a Job, its Pods and its events say, in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.errors import Reason
from services.trainer.backends.kubernetes.standing import Kind, failure, look

Object = dict[str, Any]
CREATED = "2026-03-01T10:00:00Z"
BEGAN = 1772359200.0
NOW = BEGAN + 600
NO_GPU = "0/4 nodes are available: 1 Insufficient nvidia.com/gpu, 3 node(s) had untolerated taint {pool: cpu}."
NO_CLAIM = '0/4 nodes are available: persistentvolumeclaim "candor-artifacts" not found. not found'


def job(*conditions: Object, suspend: bool = False, queue: str = "") -> Object:
    labels = {"kueue.x-k8s.io/queue-name": queue} if queue else {}
    metadata = {"name": "j", "uid": "job-uid", "creationTimestamp": CREATED, "labels": labels}
    return {"metadata": metadata, "spec": {"suspend": suspend}, "status": {"conditions": list(conditions)}}


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> Object:
    when = "2026-03-01T10:05:00Z"
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": when}


def pod(
    phase: str = "Pending", *conditions: Object, state: Object | None = None, node: str = "n", **more: Any
) -> Object:
    statuses = [{"name": "training", "image": "candor/trainer:1", "state": state}] if state else []
    return {
        "metadata": {"name": "p", "uid": "pod-uid", "creationTimestamp": CREATED, **more},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": list(conditions), "containerStatuses": statuses},
    }


def unscheduled(message: str, reason: str = "Unschedulable") -> Object:
    return pod("Pending", condition("PodScheduled", reason, message, "False"), node="")


def waiting(reason: str, message: str = "m") -> Object:
    return pod(state={"waiting": {"reason": reason, "message": message}})


def event(reason: str, message: str, uid: str = "pod-uid", name: str = "p", at: str = "10:09:00") -> Object:
    about = {"uid": uid, "name": name}
    return {"reason": reason, "message": message, "involvedObject": about, "lastTimestamp": f"2026-03-01T{at}Z"}


QUOTA = (
    'Error creating: pods "j-x" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=1, used: 4, limited: 4'
)
SECURITY = 'Error creating: pods "j-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation'


@pytest.mark.parametrize(
    ("pods", "events", "kind", "told"),
    [
        ([unscheduled(NO_GPU)], [], Kind.NO_PLACE, f"no GPU is free: {NO_GPU}"),
        ([unscheduled("0/4 nodes: no match")], [], Kind.NO_PLACE, "no node can take the Pod: 0/4 nodes: no match"),
        ([unscheduled(NO_CLAIM)], [], Kind.FAULT, f"a volume is missing: {NO_CLAIM}"),
        ([unscheduled("gated", "SchedulingGated")], [], Kind.QUEUED, "waits until it may be scheduled: gated"),
        ([pod(node="")], [], Kind.NO_PLACE, "waits for a node"),
        *(
            ([waiting(reason)], [], Kind.FAULT, f"the image candor/trainer:1 cannot be pulled: {reason}: m")
            for reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")
        ),
        (
            [waiting("CreateContainerConfigError", 'secret "s" not found')],
            [],
            Kind.FAULT,
            'the container cannot be set up: CreateContainerConfigError: secret "s" not found',
        ),
        ([waiting("ContainerCreating", "")], [], Kind.NO_PLACE, "the Pod is being started"),
        (
            [waiting("ContainerCreating", "")],
            [event("FailedMount", 'MountVolume.SetUp failed: configmap "c" not found')],
            Kind.FAULT,
            'a volume cannot be mounted: FailedMount: MountVolume.SetUp failed: configmap "c" not found',
        ),
        (
            [waiting("ContainerCreating", "")],
            [event("FailedMount", "of another", uid="other")],
            Kind.NO_PLACE,
            "the Pod is being started",
        ),
        (
            [waiting("ContainerCreating", "")],
            [event("FailedCreatePodSandBox", "no network")],
            Kind.FAULT,
            "the Pod cannot be started: FailedCreatePodSandBox: no network",
        ),
        (
            [],
            [event("FailedCreate", QUOTA, uid="job-uid")],
            Kind.NO_PLACE,
            f"the namespace's quota has no room for the Pod: {QUOTA}",
        ),
        ([], [event("FailedCreate", SECURITY, uid="job-uid")], Kind.FAULT, f"the cluster refuses the Pod: {SECURITY}"),
        ([], [], Kind.NO_PLACE, "waits for its Pod"),
        ([pod("Running", state={"running": {}})], [], Kind.RUNNING, ""),
        (
            [pod("Running", deletionTimestamp=CREATED)],
            [],
            Kind.NO_PLACE,
            "the Pod is being taken away; the training goes on in another one",
        ),
        (
            [
                pod(
                    "Failed",
                    condition(
                        "DisruptionTarget", "PreemptionByScheduler", "preempting to accommodate a higher priority"
                    ),
                    state={"terminated": {"exitCode": 143, "reason": "Error", "finishedAt": CREATED}},
                )
            ],
            [],
            Kind.NO_PLACE,
            (
                "the Pod ended before the training did; the Job starts another one: PreemptionByScheduler: preempting to "
                "accommodate a higher priority; exit code 143 (Error)"
            ),
        ),
    ],
)
def test_a_standing_is_told(pods: list[Object], events: list[Object], kind: Kind, told: str) -> None:
    standing = look(job(), pods, events, NOW)
    assert standing.kind is kind
    assert standing.sentence() == told


def test_a_job_in_a_queue_says_what_the_queue_says() -> None:
    suspended = condition("Suspended")
    workload = event("Pending", "couldn't assign flavors: insufficient quota for nvidia.com/gpu", name="job-j-0a1b2")
    standing = look(job(suspended, suspend=True, queue="gpus"), [], [workload], NOW)
    assert standing.kind is Kind.QUEUED
    assert standing.sentence() == (
        "waits in the queue gpus: couldn't assign flavors: insufficient quota for nvidia.com/gpu"
    )
    assert look(job(suspend=True), [], [], NOW).told == "the Job is suspended"


def test_waiting_is_counted_from_what_the_cluster_says_so_that_a_restart_does_not_begin_anew() -> None:
    assert look(job(), [unscheduled(NO_GPU)], [], NOW).since == BEGAN
    on_node = pod("Pending", condition("PodScheduled"), state={"waiting": {"reason": "ErrImagePull"}})
    assert look(job(), [on_node], [], NOW).since == BEGAN + 300


def test_an_end_is_told_with_the_last_pods() -> None:
    assert look(job(condition("Complete")), [], [], NOW).kind is Kind.COMPLETE
    failed = look(
        job(condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")), [], [], NOW
    )
    ended = pod("Failed", state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    reason, why = failure(failed, [ended])
    assert reason is Reason.OUT_OF_MEMORY
    assert "BackoffLimitExceeded: Job has reached the specified backoff limit" in why
    assert "exit code 137 (OOMKilled)" in why
    assert "raise that, or" in why
    evicted = pod("Failed")
    evicted["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
    assert failure(failed, [evicted]) == (
        Reason.TRAINING_FAILED,
        (
            "the training's Job failed (BackoffLimitExceeded: Job has reached the specified backoff limit); its last Pod: "
            "Evicted: The node was low on resource: memory."
        ),
    )


def test_trouble_that_is_over_is_not_told_any_more() -> None:
    """A volume that came late, and then an image that takes long."""
    mounted = event("FailedMount", "timed out waiting for the volume", at="10:02:00")
    standing = look(job(), [waiting("ContainerCreating", "")], [mounted], NOW)
    assert (standing.kind, standing.told) == (Kind.NO_PLACE, "the Pod is being started")
