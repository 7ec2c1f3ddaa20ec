"""What a Job, its Pods and the events about them say: does it train, what does it wait for, why did it end. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from chassis.errors import Reason
from services.trainer.backends.kubernetes.manifest import QUEUE
from services.trainer.domain.memory import ADVICE

Object = dict[str, Any]

_IMAGE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
)
_SETUP = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError")
_LONGEST = 500
# A kubelet repeats what still troubles it every two minutes; an older event tells of trouble that is over.
_FRESH_SECONDS = 300.0
# The Job controller tries a refused Pod again within a minute, but of many such events one in five minutes is let through.
_FRESH_REFUSAL_SECONDS = 600.0


class Kind(StrEnum):
    """Where a Job stands; how long it may wait there differs."""

    QUEUED = "QUEUED"
    NO_PLACE = "NO_PLACE"
    FAULT = "FAULT"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


class Standing(NamedTuple):
    """Where a Job stands.

    Attributes:
        kind: In short.
        told: In plain words, what it waits for or how it failed.
        detail: What the cluster says about that.
        since: When that began, in seconds since 1970, as far as the cluster knows: without a Pod, when the Job was made.
    """

    kind: Kind
    told: str = ""
    detail: str = ""
    since: float = 0.0

    def sentence(self) -> str:
        """Both together."""
        return f"{self.told}: {self.detail}" if self.detail else self.told


def look(job: Object, pods: Sequence[Object], warnings: Sequence[Object], now: float) -> Standing:
    """Judge.

    Args:
        job: The Job.
        pods: Its Pods, the newest last.
        warnings: Warning events of the namespace, the newest last.
        now: Seconds since 1970.
    """
    conditions = _conditions(job)
    began = _time(job["metadata"]["creationTimestamp"])
    if "Complete" in conditions:
        return Standing(Kind.COMPLETE)
    if failed := conditions.get("Failed"):
        return Standing(Kind.FAILED, str(failed.get("reason", "")), _short(failed.get("message", "")))
    if job["spec"].get("suspend"):
        return _suspended(job, conditions, warnings, began)
    alive = [pod for pod in pods if pod["status"].get("phase") in ("Pending", "Running", None)]
    if not alive:
        return _without_pod(job, pods, _fresh(warnings, now, _FRESH_REFUSAL_SECONDS), began)
    pod = alive[-1]
    if "deletionTimestamp" in pod["metadata"]:
        since = _time(pod["metadata"]["deletionTimestamp"])
        return Standing(Kind.NO_PLACE, "the Pod is being taken away; the training goes on in another one", "", since)
    return _pod(pod, _fresh(warnings, now, _FRESH_SECONDS))


def _suspended(job: Object, conditions: dict[str, Object], warnings: Sequence[Object], began: float) -> Standing:
    since = _time(conditions.get("Suspended", {}).get("lastTransitionTime", "")) or began
    queue = (job["metadata"].get("labels") or {}).get(QUEUE, "")
    told = f"waits in the queue {queue}" if queue else "the Job is suspended"
    prefix = f"job-{job['metadata']['name']}-"  # as Kueue names the workload of a Job
    said = [each for each in warnings if each["involvedObject"].get("name", "").startswith(prefix)]
    return Standing(Kind.QUEUED, told, _short(said[-1]["message"]) if said else "", since)


def _without_pod(job: Object, pods: Sequence[Object], warnings: Sequence[Object], began: float) -> Standing:
    refused = _about(warnings, job, "FailedCreate")
    if refused and not pods:
        message = str(refused[-1]["message"])
        if "exceeded quota" in message:
            return Standing(Kind.NO_PLACE, "the namespace's quota has no room for the Pod", _short(message), began)
        return Standing(Kind.FAULT, "the cluster refuses the Pod", _short(message), began)
    if pods:
        told = "the Pod ended before the training did; the Job starts another one"
        ended = [_time(str(each.get("finishedAt") or "")) for each in map(terminated, pods) if each]
        return Standing(Kind.NO_PLACE, told, how_it_ended(pods[-1]), max([began, *ended]))
    return Standing(Kind.NO_PLACE, "waits for its Pod", "", began)


def _pod(pod: Object, warnings: Sequence[Object]) -> Standing:
    since = _time(pod["metadata"]["creationTimestamp"])
    scheduled = _conditions(pod, status=None).get("PodScheduled", {})
    if scheduled.get("status") != "True" and not pod["spec"].get("nodeName"):
        return _unscheduled(scheduled, since)
    since = _time(scheduled.get("lastTransitionTime", "")) or since
    statuses = [*(pod["status"].get("initContainerStatuses") or []), *(pod["status"].get("containerStatuses") or [])]
    for status in statuses:
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), _short(waiting.get("message", ""))
        if reason in _IMAGE:
            return Standing(
                Kind.FAULT, f"the image {status.get('image', '')} cannot be pulled", f"{reason}: {message}", since
            )
        if reason in _SETUP:
            return Standing(Kind.FAULT, "the container cannot be set up", f"{reason}: {message}", since)
    if pod["status"].get("phase") == "Running":
        return Standing(Kind.RUNNING)
    trouble = [each for each in warnings if each["involvedObject"].get("uid") == pod["metadata"]["uid"]]
    trouble = [each for each in trouble if each["reason"] not in ("FailedScheduling", "BackOff")]
    if trouble:
        said = f"{trouble[-1]['reason']}: {trouble[-1]['message']}"
        told = "a volume cannot be mounted" if "Mount" in said or "Attach" in said else "the Pod cannot be started"
        return Standing(Kind.FAULT, told, _short(said), since)
    return Standing(Kind.NO_PLACE, "the Pod is being started", "", since)


def _unscheduled(scheduled: Object, since: float) -> Standing:
    message = _short(scheduled.get("message", ""))
    if scheduled.get("reason") == "SchedulingGated":
        return Standing(Kind.QUEUED, "waits until it may be scheduled", message, since)
    if "persistentvolumeclaim" in message.lower():
        return Standing(Kind.FAULT, "a volume is missing", message, since)
    if re.search(r"Insufficient \S+/(gpu|mig)", message):
        return Standing(Kind.NO_PLACE, "no GPU is free", message, since)
    return Standing(Kind.NO_PLACE, "no node can take the Pod" if message else "waits for a node", message, since)


def failure(standing: Standing, pods: Sequence[Object]) -> tuple[Reason, str]:
    """Why a Job failed: for the catalog, and in words."""
    why = f"the training's Job failed ({standing.sentence()})"
    if not pods:
        return Reason.TRAINING_FAILED, why
    why += f"; its last Pod: {how_it_ended(pods[-1]) or 'unknown'}"
    if terminated(pods[-1]).get("reason") != "OOMKilled":
        return Reason.TRAINING_FAILED, why
    return Reason.OUT_OF_MEMORY, f"{why}; the container used more memory than its limit: raise that, or {ADVICE}"


def how_it_ended(pod: Object) -> str:
    """Why a Pod is not there any more, as far as it tells."""
    parts = []
    if disruption := _conditions(pod).get("DisruptionTarget"):
        parts.append(f"{disruption.get('reason', '')}: {disruption.get('message', '')}")
    elif pod["status"].get("reason"):
        parts.append(f"{pod['status']['reason']}: {pod['status'].get('message', '')}")
    if ended := terminated(pod):
        parts.append(f"exit code {ended.get('exitCode')} ({ended.get('reason', '')})")
    return _short("; ".join(parts))


def terminated(pod: Object) -> Object:
    """How the container that trained ended; empty where it did not, or is not known."""
    for status in pod["status"].get("containerStatuses") or []:
        if ended := (status.get("state") or {}).get("terminated"):
            return dict(ended)
    return {}


def _fresh(warnings: Sequence[Object], now: float, seconds: float) -> list[Object]:
    return [each for each in warnings if now - _told_at(each) <= seconds]


def _told_at(event: Object) -> float:
    last = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return _time(str(last or ""))


def _conditions(item: Object, status: str | None = "True") -> dict[str, Object]:
    found = (item.get("status") or {}).get("conditions") or []
    return {each["type"]: each for each in found if status in (None, each.get("status"))}


def _about(warnings: Sequence[Object], item: Object, reason: str) -> list[Object]:
    uid = item["metadata"]["uid"]
    return [each for each in warnings if each["involvedObject"].get("uid") == uid and each["reason"] == reason]


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _short(text: str) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
