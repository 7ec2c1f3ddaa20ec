"""The kinds of object that the fake serves, and those that a CustomResourceDefinition adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        group: API group; empty for the core.
        version: The one version that is served.
        plural: Name in paths.
        name: As in `kind`.
        namespaced: Objects lie in namespaces.
        status: It has a `/status` subresource, which alone changes the status.
        counts: `metadata.generation` counts changes of the specification.
        unconditional: An update without resourceVersion is taken.
        orphans: Deletion leaves dependents when the caller says nothing about them.
        custom: It came by a CustomResourceDefinition.
        short: Short names.
        subresources: Others than status.
        schema: OpenAPI v3 schema of a custom kind.
        fields: Paths that field selectors may name, besides name and namespace.
    """

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    status: bool = False
    counts: bool = False
    unconditional: bool = True
    orphans: bool = False
    custom: bool = False
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """As in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Plural and group, as messages have them."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """Kind and group, as messages about validity have them."""
        return f"{self.name}.{self.group}" if self.group else self.name


_EVENT_FIELDS = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
    "reason", "reportingComponent", "source", "type",
)  # fmt: skip
_POD_FIELDS = (
    "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
    "status.phase", "status.podIP", "status.nominatedNodeName",
)  # fmt: skip

NAMESPACE = Kind(
    "", "v1", "namespaces", "Namespace", namespaced=False, status=True, short=("ns",), fields=("status.phase",)
)
POD = Kind(
    "",
    "v1",
    "pods",
    "Pod",
    status=True,
    counts=True,
    short=("po",),
    subresources=("binding", "eviction", "log"),
    fields=_POD_FIELDS,
)
EVENT = Kind("", "v1", "events", "Event", short=("ev",), fields=_EVENT_FIELDS)
JOB = Kind("batch", "v1", "jobs", "Job", status=True, counts=True, orphans=True, fields=("status.successful",))
CRD = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False,
    status=True, counts=True, unconditional=False, short=("crd", "crds"),
)  # fmt: skip

BUILT_IN = (
    NAMESPACE,
    POD,
    EVENT,
    Kind("", "v1", "configmaps", "ConfigMap", short=("cm",)),
    Kind("", "v1", "secrets", "Secret", fields=("type",)),
    Kind("", "v1", "services", "Service", status=True, short=("svc",), fields=("spec.clusterIP", "spec.type")),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", short=("sa",)),
    Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", status=True, short=("pvc",)),
    Kind("", "v1", "podtemplates", "PodTemplate", counts=True),
    Kind("", "v1", "nodes", "Node", namespaced=False, status=True, short=("no",), fields=("spec.unschedulable",)),
    JOB,
    Kind("batch", "v1", "cronjobs", "CronJob", status=True, counts=True, short=("cj",)),
    Kind("coordination.k8s.io", "v1", "leases", "Lease", unconditional=False),
    CRD,
)


def of_definition(definition: Object) -> Iterator[Kind]:
    """The kinds that a CustomResourceDefinition defines: one for each version that is served."""
    spec = definition["spec"]
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        subresources = version.get("subresources") or {}
        selectable = [each["jsonPath"].lstrip(".") for each in version.get("selectableFields") or []]
        yield Kind(
            group=spec["group"],
            version=version["name"],
            plural=spec["names"]["plural"],
            name=spec["names"]["kind"],
            namespaced=spec["scope"] == "Namespaced",
            status="status" in subresources,
            counts=True,
            unconditional=False,
            custom=True,
            short=tuple(spec["names"].get("shortNames") or ()),
            schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
            fields=tuple(selectable),
        )
