"""What a Job that runs the command line must be: endings that the exit codes mean, and nothing paid for that goes with a pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from chassis.errors import ExitCode
from tools.manifests.objects import Object, label, of_kind

_WEEK = 604_800
_KILLED = 137
# In this order: the first rule that fits decides.
_IGNORED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
_FINAL = {
    ExitCode.FAIL,
    ExitCode.INCONCLUSIVE,
    ExitCode.INVALID,
    ExitCode.USAGE,
    ExitCode.BAD_DOCUMENT,
    ExitCode.CANCELLED,
}
_COUNTED = {ExitCode.INTERNAL, ExitCode.TEMPORARY, _KILLED}


def endings(objects: Sequence[Object]) -> Iterator[str]:
    """Each exit code ends a Job or counts against its limit, as docs/operations.md says; a Job tells how it ended."""
    for name, spec in _jobs(objects):
        template = spec["template"]["spec"]
        if template.get("restartPolicy") != "Never":
            yield f"{name}: restartPolicy must be Never, or a podFailurePolicy is refused"
        if spec.get("backoffLimit") != 3:
            yield f"{name}: backoffLimit is {spec.get('backoffLimit')}, must be 3"
        if spec.get("ttlSecondsAfterFinished") != _WEEK:
            yield f"{name}: ttlSecondsAfterFinished is {spec.get('ttlSecondsAfterFinished')}, must be a week ({_WEEK})"
        yield from (f"{name}: podFailurePolicy: {problem}" for problem in _policy(spec))
        for container in template["containers"]:
            if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
                yield f"{name}: terminationMessagePolicy must be FallbackToLogsOnError, so that a crash is told"
            if _variables(container).get("CANDOR_MESSAGE_FILE") != "/dev/termination-log":
                yield f"{name}: CANDOR_MESSAGE_FILE must be /dev/termination-log, so that a verdict is told"


def reattaching(objects: Sequence[Object]) -> Iterator[str]:
    """All pods of a Job ask under its uid, so that the next finds what the last began."""
    uid = "metadata.labels['batch.kubernetes.io/controller-uid']"
    for name, spec in _jobs(objects):
        for container in spec["template"]["spec"]["containers"]:
            found = [each for each in container.get("env", []) if each["name"] == "CANDOR_REQUEST_ID"]
            if [each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath") for each in found] != [uid]:
                yield f"{name}: CANDOR_REQUEST_ID must come from {uid}"


def durable(objects: Sequence[Object]) -> Iterator[str]:
    """What runs everything in one pod keeps its state on a claim of its own, or its ledger in Postgres."""
    for name, spec in _jobs(objects):
        pod = spec["template"]["spec"]
        for container in pod["containers"]:
            variables = _variables(container)
            words = [*container.get("command", []), *container.get("args", [])]
            elsewhere = "CANDOR_ORCHESTRATOR" in variables or any(word.startswith("--orchestrator") for word in words)
            if elsewhere or "CANDOR_LEDGER_URL" in variables:
                continue
            volume = _volume_of(variables.get("CANDOR_STATE", ""), container, pod)
            if "persistentVolumeClaim" not in volume:
                kind = next((key for key in volume if key != "name"), "no volume")
                yield f"{name}: CANDOR_STATE lies on {kind}; it needs a persistentVolumeClaim, or CANDOR_LEDGER_URL"


def _policy(spec: Mapping[str, Any]) -> Iterator[str]:
    rules = spec.get("podFailurePolicy", {}).get("rules", [])
    containers = {container["name"] for container in spec["template"]["spec"]["containers"]}
    if [rule.get("action") for rule in rules] != ["Ignore", "FailJob", "Count"]:
        yield "its rules must be Ignore, FailJob, Count, in this order"
        return
    if rules[0] != _IGNORED:
        yield f"the first rule must be {_IGNORED}"
    for rule, codes in ((rules[1], _FINAL), (rules[2], _COUNTED)):
        found = rule.get("onExitCodes", {})
        if found.get("operator") != "In" or set(found.get("values", [])) != set(map(int, codes)):
            yield f"{rule['action']} must be for exit codes {sorted(map(int, codes))}"
        if found.get("containerName") not in containers:
            yield f"{rule['action']} names the container {found.get('containerName')}, which there is not"


def _jobs(objects: Sequence[Object]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for job in of_kind(objects, "Job", "CronJob"):
        yield label(job), job["spec"] if job["kind"] == "Job" else job["spec"]["jobTemplate"]["spec"]


def _variables(container: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container.get("env", [])}


def _volume_of(path: str, container: Mapping[str, Any], pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The volume that a path lies on; empty for the container's own layer."""
    parents = (PurePosixPath(path), *PurePosixPath(path).parents)
    mounts = {PurePosixPath(mount["mountPath"]): mount["name"] for mount in container.get("volumeMounts", [])}
    name = next((mounts[parent] for parent in parents if parent in mounts), None)
    return next((volume for volume in pod.get("volumes", []) if volume["name"] == name), {})
