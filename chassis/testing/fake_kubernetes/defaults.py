"""What an API server fills in and refuses of Pods, Jobs and definitions, as far as a client can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from chassis.testing.fake_kubernetes import errors
from chassis.testing.fake_kubernetes.kinds import CRD, JOB, NAMESPACE, POD, Kind, Object

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")


def fill(kind: Kind, item: Object) -> None:
    """Set the defaults of a new object."""
    if kind == POD:
        _fill_pod(item["spec"])
        item["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
    elif kind == JOB:
        _fill_job(item)
    elif kind == NAMESPACE:
        item["spec"] = {"finalizers": ["kubernetes"]}
        item["status"] = {"phase": "Active"}
        item["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = item["metadata"]["name"]
    elif kind == CRD:
        _fill_definition(item)


def _fill_pod(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in spec.get("containers", []):
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        always = ":" not in container.get("image", "") or container["image"].endswith(":latest")
        container.setdefault("imagePullPolicy", "Always" if always else "IfNotPresent")


def _fill_job(item: Object) -> None:
    spec, metadata = item["spec"], item["metadata"]
    for name, value in (
        ("parallelism", 1), ("completions", 1), ("backoffLimit", 6), ("suspend", False),
        ("completionMode", "NonIndexed"), ("manualSelector", False), ("podReplacementPolicy", "TerminatingOrFailed"),
    ):  # fmt: skip
        spec.setdefault(name, value)
    if "podFailurePolicy" in spec:
        spec["podReplacementPolicy"] = "Failed"
    added = {
        "batch.kubernetes.io/controller-uid": metadata["uid"],
        "batch.kubernetes.io/job-name": metadata["name"],
        "controller-uid": metadata["uid"],
        "job-name": metadata["name"],
    }
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**(template.get("labels") or {}), **added}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": metadata["uid"]}}
    _fill_pod(spec["template"]["spec"])
    item["status"] = {}


def _fill_definition(item: Object) -> None:
    names = item["spec"]["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    item["spec"].setdefault("conversion", {"strategy": "None"})
    when = item["metadata"]["creationTimestamp"]
    item["status"] = {
        "acceptedNames": names,
        "conditions": [
            {"type": each, "status": "True", "reason": reason, "message": "", "lastTransitionTime": when}
            for each, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
        ],
        "storedVersions": [each["name"] for each in item["spec"]["versions"] if each.get("storage")],
    }


def faults(kind: Kind, item: Object, before: Object | None) -> Iterator[dict[str, str]]:
    """Fields that do not hold: names and labels of all kinds, and what a caller of ours could get wrong."""
    yield from _metadata_faults(item["metadata"])
    if kind == POD:
        yield from _pod_faults(item["spec"], "spec")
    if kind == JOB:
        yield from _job_faults(item["spec"], before and before["spec"])


def _metadata_faults(metadata: Object) -> Iterator[dict[str, str]]:
    name = metadata.get("name", "")
    if not name:
        yield errors.required("metadata.name", "name or generateName is required")
    elif len(name) > 253 or not _NAME.match(name):
        text = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        )
        yield errors.cause("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {text}')
    for value in (metadata.get("labels") or {}).values():
        if len(value) > 63:
            text = f'Invalid value: "{value}": must be no more than 63 bytes'
            yield errors.cause("metadata.labels", "FieldValueInvalid", text)
        elif not _LABEL_VALUE.match(value):
            text = (
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
                "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
                "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            )
            yield errors.cause("metadata.labels", "FieldValueInvalid", f'Invalid value: "{value}": {text}')


def _pod_faults(spec: Object, where: str) -> Iterator[dict[str, str]]:
    containers = spec.get("containers") or []
    if not containers:
        yield errors.required(f"{where}.containers")
    volumes = {each["name"] for each in spec.get("volumes") or []}
    for i, container in enumerate(containers):
        at = f"{where}.containers[{i}]"
        if not container.get("image"):
            yield errors.required(f"{at}.image")
        for j, mount in enumerate(container.get("volumeMounts") or []):
            if mount["name"] not in volumes:
                text = f'Not found: "{mount["name"]}"'
                yield errors.cause(f"{at}.volumeMounts[{j}].name", "FieldValueNotFound", text)


def _job_faults(spec: Object, before: Object | None) -> Iterator[dict[str, str]]:
    pod = spec["template"]["spec"]
    yield from _pod_faults(pod, "spec.template.spec")
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        if pod.get("restartPolicy", "Always") == "Always":
            yield errors.required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
        else:
            text = f'Unsupported value: "{pod["restartPolicy"]}": supported values: "OnFailure", "Never"'
            yield errors.cause("spec.template.spec.restartPolicy", "FieldValueNotSupported", text)
    if spec.get("podFailurePolicy") and pod.get("restartPolicy") != "Never":
        text = (
            f'Invalid value: "{pod.get("restartPolicy")}": only "Never" is supported when podFailurePolicy is specified'
        )
        yield errors.cause("spec.template.spec.restartPolicy", "FieldValueInvalid", text)
    if before is not None and _fixed(before) != _fixed(spec):
        yield errors.cause("spec.template", "FieldValueInvalid", "Invalid value: field is immutable")


def _fixed(spec: Object) -> Any:
    """What of a Job's template no update may change; a suspended Job's scheduling fields may."""
    template = {name: value for name, value in spec["template"].items() if name != "metadata"}
    pod = dict(template.get("spec") or {})
    if spec.get("suspend"):
        for name in ("nodeSelector", "tolerations", "affinity", "schedulingGates"):
            pod.pop(name, None)
    return pod
