"""A cluster's working parts in one thread: Jobs get Pods, Pods run as processes of this machine, and end as Pods do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, Self

from chassis.testing.fake_kubernetes.client import Refused
from chassis.testing.fake_kubernetes.cluster import FakeKubernetes
from chassis.testing.fake_kubernetes.hands import Hands
from chassis.testing.fake_kubernetes.kinds import Object

_PAUSE = 0.05


class _Run(NamedTuple):
    """A container that runs."""

    process: subprocess.Popen[bytes]
    log: Path


class Node:
    """Job controller, scheduler and kubelet of one namespace of the fake.

    Attributes:
        schedules: New Pods get a place; off, they stay Pending.
        pods: Names of all Pods that were started, in order.
        gap: Steps of the Job controller between a Pod that went and its successor: a real one backs off for 10 s and more.
    """

    def __init__(self, cluster: FakeKubernetes, hands: Hands) -> None:
        self.schedules = True
        self.pods: list[str] = []
        self.gap = 3
        self._cluster = cluster
        self._hands = hands
        self._running: dict[str, _Run] = {}
        self._failures: dict[str, int] = {}
        self._waited: dict[str, int] = {}
        self._place = tempfile.TemporaryDirectory(prefix="candor-node-")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="node", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for run in self._running.values():
            run.process.kill()
            run.process.wait()
        self._place.cleanup()

    def evict(self, pod: str, reason: str = "PreemptionByScheduler") -> None:
        """Take a Pod away: it is marked, told to end, and not counted as a failure."""
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": reason,
            "message": "another Pod goes first",
        }
        self._hands.pod_status(pod, conditions=[condition])
        self._hands.client.delete(f"{self._hands.core}/pods/{pod}")

    def kill(self, pod: str) -> None:
        """End a Pod's process with SIGKILL, as a kernel without memory does."""
        self._running[pod].process.kill()

    def _loop(self) -> None:
        while not self._stop.wait(_PAUSE):
            for pod in self._hands.pods():
                _if_there(self._tend, pod)
            for job in self._hands.jobs():
                _if_there(self._advance, job)

    def _tend(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"]:
            self._end(pod, name)
        elif name in self._running:
            run = self._running[name]
            self._cluster.log(self._hands.namespace, name, run.log.read_text("utf-8", "replace"))
            if run.process.poll() is not None:
                del self._running[name]
                self._hands.ended(name, _exit_code(run.process.returncode))
        elif pod["status"]["phase"] == "Pending" and self.schedules and not pod["spec"].get("nodeName"):
            self._start(pod, name)

    def _start(self, pod: Object, name: str) -> None:
        container = pod["spec"]["containers"][0]
        command = [*container["command"], *(container.get("args") or [])]
        if command[0] == "python":
            command[0] = sys.executable
        given = {each["name"]: each.get("value", "") for each in container.get("env") or []}
        log = Path(self._place.name) / name
        self._hands.bind(name)
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 -- what a test's template says
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **given, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
            )
        self._running[name] = _Run(process, log)
        self._hands.running(name)

    def _end(self, pod: Object, name: str) -> None:
        run = self._running.get(name)
        if run is not None and run.process.poll() is None:
            due = run.log.with_suffix(".end")
            if not due.exists():
                due.write_text(str(time.time() + pod["metadata"]["deletionGracePeriodSeconds"]))
                run.process.send_signal(signal.SIGTERM)
            elif time.time() > float(due.read_text()):
                run.process.kill()
            return
        if run is not None:
            del self._running[name]
            self._hands.ended(name, _exit_code(run.process.returncode))
            self._count(self._hands.client.get(f"{self._hands.core}/pods/{name}"))
        self._hands.gone(name)

    def _advance(self, job: Object) -> None:
        """What the Job controller does with a Job."""
        name = job["metadata"]["name"]
        over = {each["type"] for each in job["status"].get("conditions") or []} & {"Complete", "Failed"}
        if over or "deletionTimestamp" in job["metadata"]:
            return
        pods = self._hands.pods(name)
        alive = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
        if job["spec"]["suspend"]:
            for pod in alive:
                self._hands.client.delete(f"{self._hands.core}/pods/{pod['metadata']['name']}")
            return
        if any(pod["status"]["phase"] == "Succeeded" for pod in pods):
            self._hands.job_complete(name)
        elif not alive and self._goes_on(job, pods) and self._backed_off(job["metadata"]["uid"]):
            self.pods.append(self._hands.start_pod(name))

    def _backed_off(self, job: str) -> bool:
        """Whether the Job's next Pod is due; the first one is at once."""
        waited = self._waited.get(job, self.gap)
        due = waited >= self.gap
        self._waited[job] = 0 if due else waited + 1
        return due

    def _goes_on(self, job: Object, pods: list[Object]) -> bool:
        """Whether the Job tries again; else it has failed."""
        name = job["metadata"]["name"]
        for pod in pods:
            if pod["metadata"]["name"] not in self._failures:
                self._count(pod)
        counted = [self._failures[each] for each in self._failures if each.startswith(name)]
        if -1 in counted:
            self._hands.job_failed(name, "PodFailurePolicy", "Container failed matching FailJob rule")
            return False
        if sum(counted) > job["spec"]["backoffLimit"]:
            self._hands.job_failed(name, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
            return False
        return True

    def _count(self, pod: Object) -> None:
        """0: the Job's policy ignores this failure; 1: it counts; -1: it fails the Job."""
        owner = next(each for each in pod["metadata"]["ownerReferences"] if each["kind"] == "Job")
        rules = self._hands.client.get(f"{self._hands.batch}/jobs/{owner['name']}")["spec"].get("podFailurePolicy")
        action = next((rule["action"] for rule in (rules or {}).get("rules", []) if _matches(rule, pod)), "Count")
        self._failures[pod["metadata"]["name"]] = {"Ignore": 0, "FailJob": -1}.get(action, 1)


def _if_there(action: Callable[[Object], None], item: Object) -> None:
    """What was deleted meanwhile needs nothing more."""
    try:
        action(item)
    except Refused as refused:
        if refused.code != HTTPStatus.NOT_FOUND:
            raise


def _matches(rule: Object, pod: Object) -> bool:
    conditions = {(each["type"], each["status"]) for each in pod["status"].get("conditions") or []}
    if any((each["type"], each.get("status", "True")) in conditions for each in rule.get("onPodConditions", [])):
        return True
    ended = pod["status"]["containerStatuses"][0]["state"].get("terminated") or {}
    codes = rule.get("onExitCodes")
    return codes is not None and (ended.get("exitCode") in codes["values"]) == (codes["operator"] == "In")


def _exit_code(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode
