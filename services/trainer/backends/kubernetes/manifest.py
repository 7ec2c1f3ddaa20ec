"""The Job of a training job, made from the cluster's PodTemplate: what runs is a manifest that people review."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chassis.errors import CandorError, Reason
from services.trainer.backends.process.channel import STOPPED, TOLD
from services.trainer.domain.job import Job

Object = dict[str, Any]

LABEL = "candor.dev/training-job"
# On the template: the queue of Kueue that lets its Jobs start.
QUEUE = "kueue.x-k8s.io/queue-name"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    f"{prefix}i": 2 ** (10 * power) for power, prefix in enumerate("KMGT", start=1)
}


class Ways(NamedTuple):
    """How the Job is run.

    Attributes:
        retries: Pods that may fail before the Job does; those that were taken away do not count.
        ttl_seconds: How long a Job that has ended is kept.
    """

    retries: int
    ttl_seconds: int


def job_name(job_id: str) -> str:
    """The Job's name: the same for the same training job, so that creating it twice makes one."""
    return f"candor-training-{job_id}"


def job_manifest(template: Object, job: Job, arguments: Sequence[str], ways: Ways) -> Object:
    """The Job.

    Args:
        template: The PodTemplate.
        job: What is trained.
        arguments: Of the container, whose command is Python.
        ways: How it is run.

    Raises:
        CandorError: BACKEND_MISSING where the template has no container.
    """
    pod = copy.deepcopy(template["template"])
    container = container_of(pod, template["metadata"]["name"])
    container["args"] = list(arguments)
    if (gpu := _gpu_of(container)) and job.spec.training.processes > 1:
        for side in ("limits", "requests"):
            if gpu in container["resources"].get(side, {}):
                container["resources"][side][gpu] = str(job.spec.training.processes)
    pod["spec"]["restartPolicy"] = "Never"
    queue = (template["metadata"].get("labels") or {}).get(QUEUE, "")
    labels = {**(pod.setdefault("metadata", {}).get("labels") or {}), LABEL: job.id}
    pod["metadata"]["labels"] = labels
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": _codes(container["name"], STOPPED)},
        {"action": "FailJob", "onExitCodes": _codes(container["name"], TOLD)},
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(job.id),
            "labels": labels | ({QUEUE: queue} if queue else {}),
            "annotations": {"candor.dev/display-name": job.spec.display_name},
        },
        "spec": {
            "backoffLimit": ways.retries,
            "podFailurePolicy": {"rules": rules},
            "podReplacementPolicy": "Failed",  # a Pod that still ends and its successor never train side by side
            "ttlSecondsAfterFinished": ways.ttl_seconds,
            "suspend": bool(queue),  # Kueue lets it go on
            "template": pod,
        },
    }


def _codes(container: str, code: int) -> Object:
    return {"containerName": container, "operator": "In", "values": [int(code)]}


def container_of(pod: Object, name: str) -> Object:
    """The container that trains: the one called `training`, or the first. Raises CandorError BACKEND_MISSING."""
    containers: list[Object] = (pod.get("spec") or {}).get("containers") or []
    if not containers:
        raise CandorError(Reason.BACKEND_MISSING, f"PodTemplate {name} has no container; apply deploy/k8s again")
    return next((each for each in containers if each["name"] == "training"), containers[0])


class Pool(NamedTuple):
    """What a template's Pods train on: GPUs or not, and the memory that they may use (0: not said)."""

    gpu: str
    memory_bytes: int


def pool_of(container: Object) -> Pool:
    """From the limits of the container."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return Pool(_gpu_of(container), _bytes(str(limits.get("memory", ""))))


def _gpu_of(container: Object) -> str:
    limits = (container.get("resources") or {}).get("limits") or {}
    return next((name for name in limits if name.endswith("/gpu") or "/mig-" in name), "")


def _bytes(quantity: str) -> int:
    number = quantity.rstrip("kKMGTi")
    unit = quantity.removeprefix(number)
    return int(float(number) * _UNITS[unit]) if number.replace(".", "").isdigit() and unit in _UNITS else 0


def check_places(pod: Object, root: Path, name: str) -> None:
    """The jobs' folders have to be on a volume that outlives a Pod.

    Raises:
        CandorError: BACKEND_MISSING.
    """
    mount = _mount_of(pod, root, name)
    if mount is None:
        message = (
            f"PodTemplate {name} mounts no volume at {root}, where this trainer keeps its jobs (CANDOR_TRAINER_ARTIFACTS); "
            "mount the claim that the trainer has at the same path"
        )
        raise CandorError(Reason.BACKEND_MISSING, message)
    if "emptyDir" in mount:
        message = (
            f"PodTemplate {name} mounts an emptyDir at {root}, which ends with its Pod; mount the claim that the trainer "
            "keeps its jobs on"
        )
        raise CandorError(Reason.BACKEND_MISSING, message)


def unseen(pod: Object, paths: dict[str, str], name: str) -> list[str]:
    """Warnings about files that a Pod of the template may not see."""
    return [
        f"{what} ({path}) is on no volume of PodTemplate {name}: the training finds it only if the image holds it"
        for what, path in paths.items()
        if "emptyDir" in (_mount_of(pod, Path(path), name) or {"emptyDir": {}})
    ]


def _mount_of(pod: Object, path: Path, name: str) -> Object | None:
    """The volume that a path lies on."""
    mounts = container_of(pod, name).get("volumeMounts") or []
    found = [each for each in mounts if path.is_relative_to(each["mountPath"])]
    if not found:
        return None
    closest = max(found, key=lambda each: len(each["mountPath"]))["name"]
    return next((each for each in pod["spec"].get("volumes") or [] if each["name"] == closest), {"name": closest})
