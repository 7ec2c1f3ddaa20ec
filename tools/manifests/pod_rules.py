"""What every pod must be: the restricted profile and more, probes, limits, volumes that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from tools.document_settings import SERVICES
from tools.manifests.objects import LONG_RUNNING, NAME, Object, Pod, names, of_kind, pods

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
# Made by people or by cert-manager; deploy/k8s/README.md says how.
SECRETS = {"candor-postgres", "candor-credentials", "candor-callers", "candor-tokens"}
# In every namespace, by the cluster.
_CONFIG_MAPS = {"kube-root-ca.crt"}
_LIVE = "live"
_NAMED_BY = {"persistentVolumeClaim": "claimName", "configMap": "name", "secret": "secretName"}


def restricted(objects: Sequence[Object]) -> Iterator[str]:
    """Pod Security `restricted`, and a root that cannot be written to."""
    for pod in pods(objects):
        spec = pod.spec
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"{pod}: {field} must not be set"
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{pod}: securityContext needs runAsNonRoot and a runAsUser other than 0"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{pod}: securityContext.seccompProfile.type must be RuntimeDefault"
        for name, volume in pod.volumes.items():
            if not _VOLUMES & volume.keys():
                yield f"{pod}: volume {name} is of a kind that the restricted profile refuses"
        for container in pod.containers:
            yield from _container(f"{pod}: container {container['name']}", container)


def _container(where: str, container: Mapping[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{where}: allowPrivilegeEscalation must be false"
    if context.get("privileged"):
        yield f"{where}: privileged must not be set"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield f"{where}: capabilities must drop ALL and add none"
    if context.get("readOnlyRootFilesystem") is not True:
        yield f"{where}: readOnlyRootFilesystem must be true"
    if context.get("runAsUser") == 0 or context.get("runAsNonRoot") is False:
        yield f"{where}: must not run as root"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield f"{where}: hostPort must not be set"


def limits(objects: Sequence[Object]) -> Iterator[str]:
    """Requests, and a limit of memory; none of processors, which would only slow down."""
    for pod in pods(objects):
        for container in pod.containers:
            resources = container.get("resources", {})
            missing = {"cpu", "memory"} - resources.get("requests", {}).keys()
            if missing:
                yield f"{pod}: container {container['name']} requests no {' and no '.join(sorted(missing))}"
            if "memory" not in resources.get("limits", {}):
                yield f"{pod}: container {container['name']} has no limit of memory"
        for name, volume in pod.volumes.items():
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{pod}: emptyDir {name} has no sizeLimit"


def probes(objects: Sequence[Object]) -> Iterator[str]:
    """Each container that stays says whether it started, lives and is ready; ours over gRPC, by the names that the code has."""
    for pod in pods(objects):
        if pod.kind not in LONG_RUNNING:
            continue
        for container in pod.spec["containers"]:
            where = f"{pod}: container {container['name']}"
            ports = {port.get("name", ""): port["containerPort"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if not probe:
                    yield f"{where} has no {kind}"
                elif "grpc" in probe:
                    yield from _grpc(f"{where}: {kind}", kind, probe["grpc"], ports, pod)


def _grpc(where: str, kind: str, probe: Mapping[str, Any], ports: Mapping[str, int], pod: Pod) -> Iterator[str]:
    if probe["port"] != ports.get("health"):
        yield f"{where} asks port {probe['port']}, and the port health is {ports.get('health')}"
    expected = _LIVE if kind != "readinessProbe" else full_name(pod.labels.get(NAME, ""))
    if probe.get("service") != expected:
        yield f"{where} asks for {probe.get('service')!r}, must be {expected!r}"


def full_name(service: str) -> str:
    """The proto name of a service, as health knows it; empty for what is none of ours."""
    package = service.removesuffix("-gpu")
    if not SERVICES.get(package, "").startswith("services."):
        return ""
    descriptor = import_module(f"candor.{package}.v1.{package}_pb2").DESCRIPTOR
    return str(descriptor.services_by_name[f"{package.capitalize()}Service"].full_name)


def volumes(objects: Sequence[Object]) -> Iterator[str]:
    """What is mounted is there, what is there is mounted, and what volumes and variables are taken from exists."""
    made = {each["spec"]["secretName"] for each in of_kind(objects, "Certificate")}
    known = {
        "persistentVolumeClaim": names(objects, "PersistentVolumeClaim"),
        "configMap": names(objects, "ConfigMap") | _CONFIG_MAPS,
        "secret": names(objects, "Secret") | made | SECRETS,
    }
    for pod in pods(objects):
        claimed = {each["metadata"]["name"] for each in pod.owner.get("spec", {}).get("volumeClaimTemplates", [])}
        there = pod.volumes.keys() | claimed
        mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
        for name in sorted(mounted - there):
            yield f"{pod}: mounts {name}, which is no volume"
        for name in sorted(there - mounted):
            yield f"{pod}: volume {name} is not mounted"
        for kind, name in _sources(pod):
            if name not in known[kind]:
                yield f"{pod}: there is no {kind} {name}"


def _sources(pod: Pod) -> Iterator[tuple[str, str]]:
    for volume in pod.volumes.values():
        for each in (volume, *volume.get("projected", {}).get("sources", [])):
            for kind, field in _NAMED_BY.items():
                if kind in each:
                    yield kind, each[kind].get(field) or each[kind]["name"]
    for container in pod.containers:
        variables = [each.get("valueFrom", {}) for each in container.get("env", [])]
        for each in (*container.get("envFrom", []), *variables):
            for reference in ("configMapRef", "secretRef", "configMapKeyRef", "secretKeyRef"):
                if reference in each:
                    yield reference.removesuffix("Ref").removesuffix("Key"), each[reference]["name"]
