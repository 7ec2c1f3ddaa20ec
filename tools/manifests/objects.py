"""Rendered objects, and the pods that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

NAME = "app.kubernetes.io/name"
PART_OF = "app.kubernetes.io/part-of"
LONG_RUNNING = ("Deployment", "StatefulSet")
CLUSTER_WIDE = ("Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ClusterKopfPeering")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template.

    Attributes:
        owner: The object that holds it.
        labels: Of the pods.
        spec: Of the pods.
    """

    owner: Object
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Of the owner."""
        return str(self.owner["kind"])

    @property
    def containers(self) -> list[Object]:
        """All of them, those that run before the others included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def images(self) -> list[str]:
        """Of containers and of volumes."""
        volumes = [volume["image"]["reference"] for volume in self.volumes.values() if "image" in volume]
        return [*(container["image"] for container in self.containers), *volumes]

    @property
    def volumes(self) -> dict[str, Object]:
        """By name."""
        return {volume["name"]: volume for volume in self.spec.get("volumes", [])}

    def __str__(self) -> str:
        return label(self.owner)


def label(thing: Object) -> str:
    """How a finding names an object."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of_kind(objects: Sequence[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [each for each in objects if each["kind"] in kinds]


def names(objects: Sequence[Object], *kinds: str) -> set[str]:
    """The names of all objects of these kinds."""
    return {each["metadata"]["name"] for each in of_kind(objects, *kinds)}


def pods(objects: Sequence[Object]) -> Iterator[Pod]:
    """Every pod template, and pods that stand alone."""
    for owner in objects:
        match owner["kind"]:
            case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
                template = owner["spec"]["template"]
            case "CronJob":
                template = owner["spec"]["jobTemplate"]["spec"]["template"]
            case "PodTemplate":
                template = owner["template"]
            case "Pod":
                template = owner
            case _:
                continue
        yield Pod(owner, template.get("metadata", {}).get("labels", {}), template["spec"])


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses these labels; an empty one chooses all."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_expression(each, labels) for each in selector.get("matchExpressions", []))


def _expression(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    found, values = labels.get(rule["key"]), rule.get("values", [])
    match rule["operator"]:
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case _:
            return found is None
