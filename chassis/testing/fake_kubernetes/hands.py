"""What the Job controller, the scheduler and a kubelet do, by hand: the fake has none, and a real server may have no nodes."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from chassis.testing.fake_kubernetes.client import Client
from chassis.testing.fake_kubernetes.kinds import Object
from chassis.testing.fake_kubernetes.registry import now

NODE = "pretended"


class Hands:
    """Moves Jobs and Pods of one namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.core = f"/api/v1/namespaces/{namespace}"
        self.batch = f"/apis/batch/v1/namespaces/{namespace}"

    def ready(self) -> None:
        """Make the namespace."""
        self.client.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def jobs(self, **query: Any) -> list[Object]:
        """The Jobs."""
        return list(self.client.get(f"{self.batch}/jobs", **query)["items"])

    def pods(self, job: str = "") -> list[Object]:
        """The Pods, of one Job or all."""
        query = {"labelSelector": f"batch.kubernetes.io/job-name={job}"} if job else {}
        return list(self.client.get(f"{self.core}/pods", **query)["items"])

    def start_pod(self, job: str) -> str:
        """Make a Pod of a Job, as the Job controller does; gives its name."""
        owner = self.client.get(f"{self.batch}/jobs/{job}")
        template = owner["spec"]["template"]
        reference = {
            "apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": owner["metadata"]["uid"],
            "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip
        metadata = (template.get("metadata") or {}) | {"name": f"{job}-{secrets.token_hex(3)[:5]}"}
        pod = {"metadata": metadata | {"ownerReferences": [reference]}, "spec": template["spec"]}
        self.client.create(f"{self.core}/pods", pod)
        self.job_status(job, active=1, startTime=now())
        return str(metadata["name"])

    def unschedulable(self, pod: str, message: str) -> None:
        """The scheduler finds no node."""
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self.pod_status(pod, phase="Pending", conditions=[condition | {"lastTransitionTime": now()}])
        self.event("Pod", pod, "FailedScheduling", message)

    def bind(self, pod: str, node: str = NODE) -> None:
        """The scheduler puts the Pod on a node."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod},
            "target": {"kind": "Node", "name": node},
        }
        self.client.create(f"{self.core}/pods/{pod}/binding", binding)

    def waiting(self, pod: str, reason: str, message: str) -> None:
        """The container cannot start: ErrImagePull, ImagePullBackOff, CreateContainerConfigError, and so on."""
        self.bind(pod)
        self.container(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def running(self, pod: str) -> None:
        """The container runs."""
        self.container(pod, "Running", {"running": {"startedAt": now()}})

    def ended(self, pod: str, exit_code: int, reason: str = "", message: str = "") -> None:
        """The container ended."""
        reason = reason or ("Error" if exit_code else "Completed")
        state = {"exitCode": exit_code, "reason": reason, "startedAt": now(), "finishedAt": now(), "message": message}
        self.container(pod, "Failed" if exit_code else "Succeeded", {"terminated": state})

    def disrupted(self, pod: str, reason: str, message: str, exit_code: int = 143) -> None:
        """The Pod was taken away: PreemptionByScheduler, EvictionByEvictionAPI, DeletionByTaintManager."""
        self.ended(pod, exit_code)
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        self.pod_status(pod, conditions=[condition | {"lastTransitionTime": now()}])

    def gone(self, pod: str) -> None:
        """The kubelet's last word about a Pod that was deleted."""
        self.client.delete(f"{self.core}/pods/{pod}", gracePeriodSeconds=0)

    def container(self, pod: str, phase: str, state: Object) -> None:
        """Set the phase and the state of the first container."""
        spec = self.client.get(f"{self.core}/pods/{pod}")["spec"]["containers"][0]
        status = {
            "name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": 0,
            "ready": "running" in state, "started": "running" in state, "state": state,
        }  # fmt: skip
        self.pod_status(pod, phase=phase, containerStatuses=[status])

    def pod_status(self, pod: str, **status: Any) -> None:
        """Change fields of a Pod's status."""
        self.client.patch(f"{self.core}/pods/{pod}/status", {"status": status})

    def job_status(self, job: str, **status: Any) -> None:
        """Change fields of a Job's status."""
        self.client.patch(f"{self.batch}/jobs/{job}/status", {"status": status})

    def job_failed(self, job: str, reason: str, message: str) -> None:
        """The Job controller gave up: BackoffLimitExceeded, PodFailurePolicy, DeadlineExceeded."""
        self._job_condition(job, "Failed", reason, message, active=0, failed=1)

    def job_complete(self, job: str) -> None:
        """The Job is done."""
        self._job_condition(job, "Complete", "CompletionsReached", "", active=0, succeeded=1, completionTime=now())

    def event(self, kind: str, name: str, reason: str, message: str, kind_of: str = "Warning") -> None:
        """Tell an event about a Pod or a Job."""
        path = f"{self.batch}/jobs/{name}" if kind == "Job" else f"{self.core}/pods/{name}"
        about = self.client.get(path)
        told = {
            "metadata": {"generateName": f"{name}."},
            "involvedObject": {
                "apiVersion": about["apiVersion"], "kind": kind, "name": name, "namespace": self.namespace,
                "uid": about["metadata"]["uid"],
            },
            "reason": reason, "message": message, "type": kind_of, "count": 1,
            "firstTimestamp": now(), "lastTimestamp": now(),
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "action": "Scheduling", "reportingComponent": "hands", "reportingInstance": "hands-0",
        }  # fmt: skip
        self.client.create(f"{self.core}/events", told)

    def _job_condition(self, job: str, kind: str, reason: str, message: str, **status: Any) -> None:
        before = self.client.get(f"{self.batch}/jobs/{job}")["status"].get("conditions") or []
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        self.job_status(job, conditions=[*before, condition | {"lastTransitionTime": now()}], **status)
