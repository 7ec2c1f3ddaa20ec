"""Whether what a pod is told in its environment is what the code reads: names, values, ports, files, times to stop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from tools.document_settings import PAGE, SERVICES, settings_class, variables
from tools.manifests.objects import LONG_RUNNING, Object, Pod, of_kind, pods

_PREFIX = re.compile(r"CANDOR_([A-Z]+)_")
# Names of a container's ports, and the settings that say where the code listens.
_PORTS = (("grpc", "port"), ("health", "health_port"), ("metrics", "metrics_port"), ("health", "liveness_port"))
# What a Secret holds is not in the manifests; this has its form.
_SECRET_VALUES = {"CANDOR_ORCHESTRATOR_LEDGER_URL": "postgresql://user:password@database:5432/candor"}

# What the operator reads from its token, where nothing else is said.
_IN_A_POD = {"CANDOR_OPERATOR_NAMESPACES": '["candor"]'}


@dataclass(frozen=True, slots=True)
class Told:
    """A pod of a service, with its environment and what the code makes of it."""

    pod: Pod
    service: str
    environment: Mapping[str, str]
    settings: BaseSettings


def settings(objects: Sequence[Object]) -> Iterator[str]:
    """Every variable is a documented setting, and the service starts with these values."""
    documented = set(re.findall(r"`(CANDOR_\w+)`", PAGE.read_text(encoding="utf-8")))
    for pod, service, environment in environments(objects):
        model = settings_class(service)
        known = variables(model)
        for name in environment:
            if name not in known:
                yield f"{pod}: {name} is no setting of the {service}"
            elif name not in documented:
                yield f"{pod}: {name} is not documented in {PAGE.name}"
        try:
            _read(model, environment)
        except ValidationError as error:
            for each in error.errors():
                where = ".".join(map(str, each["loc"])) or "settings"
                yield f"{pod}: the {service} refuses {where}: {each['msg']}"


def ports(objects: Sequence[Object]) -> Iterator[str]:
    """The ports of the container are those that the service listens on, on all addresses."""
    for told in _told(objects):
        said = {port["name"]: port["containerPort"] for port in told.pod.containers[0].get("ports", [])}
        for name, field in _PORTS:
            if not hasattr(told.settings, field):
                continue
            listens = getattr(told.settings, field)
            if said.get(name) != listens:
                yield f"{told.pod}: port {name} is {said.get(name)}, and the {told.service} listens on {listens}"
        if all(getattr(told.settings, field, "") != "0.0.0.0" for field in ("host", "liveness_host")):  # noqa: S104
            yield f"{told.pod}: the {told.service} must listen on 0.0.0.0"


def targets(objects: Sequence[Object]) -> Iterator[str]:
    """The names that a service calls others by are Services here, at their port."""
    there = {
        f"dns:///{service['metadata']['name']}:{port['port']}"
        for service in of_kind(objects, "Service")
        for port in service["spec"]["ports"]
    }
    for told in _told(objects):
        for name, value in told.settings.model_dump().items():
            if not name.endswith(("target", "_targets")):
                continue
            for target in value.values() if isinstance(value, Mapping) else [value]:
                if target not in there:
                    yield f"{told.pod}: {name} names {target!r}, which is no Service here"


def ledger(objects: Sequence[Object]) -> Iterator[str]:
    """Replicas share their memory: a file in a pod is no ledger."""
    for told in _told(objects):
        url = getattr(told.settings, "ledger_url", "postgresql:")
        if not url.startswith("postgresql"):
            yield f"{told.pod}: ledger_url is {url}, take components/postgres or components/postgres-trial"


def files(objects: Sequence[Object]) -> Iterator[str]:
    """The files and folders that settings name lie on a volume."""
    for told in _told(objects):
        mounts = [PurePosixPath(each["mountPath"]) for each in told.pod.containers[0].get("volumeMounts", [])]
        for name, value in told.environment.items():
            if name.endswith(("_FILE", "_ARTIFACTS", "_ARTIFACTS_URL")) and value.startswith("/"):
                path = PurePosixPath(value)
                if not any(mount in (path, *path.parents) for mount in mounts):
                    yield f"{told.pod}: {name} is {value}, and no volume is mounted there"


def stopping(objects: Sequence[Object]) -> Iterator[str]:
    """A pod may live longer than its preStop, its drain and what stops after that."""
    for told in _told(objects):
        if told.pod.kind not in LONG_RUNNING or not hasattr(told.settings, "drain_seconds"):
            continue
        hook = told.pod.containers[0].get("lifecycle", {}).get("preStop", {})
        if "sleep" not in hook:
            yield f"{told.pod}: preStop must sleep, so that its address leaves DNS before it refuses calls"
            continue
        needed = hook["sleep"]["seconds"] + told.settings.drain_seconds + _stop_seconds(told.settings)
        grace = told.pod.spec.get("terminationGracePeriodSeconds", 30)
        if grace <= needed:
            yield f"{told.pod}: terminationGracePeriodSeconds is {grace}, must be more than {needed:g}"


def environments(objects: Sequence[Object]) -> Iterator[tuple[Pod, str, dict[str, str]]]:
    """Each pod of a service, the service, and the variables that are meant for it."""
    config = {each["metadata"]["name"]: each.get("data", {}) for each in of_kind(objects, "ConfigMap")}
    for pod in pods(objects):
        for container in pod.containers:
            environment: dict[str, str] = {}
            for source in container.get("envFrom", []):
                environment |= config.get(source.get("configMapRef", {}).get("name"), {})
            for each in container.get("env", []):
                elsewhere = _SECRET_VALUES.get(each["name"], "elsewhere") if "valueFrom" in each else ""
                environment[each["name"]] = each.get("value", elsewhere)
            ours = {name: value for name, value in environment.items() if _PREFIX.match(name)}
            found = {_PREFIX.match(name)[1].lower() for name in ours}  # type: ignore[index]
            for service in sorted(found & SERVICES.keys()):
                yield pod, service, {name: ours[name] for name in ours if name.startswith(f"CANDOR_{service.upper()}_")}


def _told(objects: Sequence[Object]) -> Iterator[Told]:
    for pod, service, environment in environments(objects):
        try:
            yield Told(pod, service, environment, _read(settings_class(service), environment))
        except ValidationError:
            continue  # said by `settings`


def _read(model: type[BaseSettings], environment: Mapping[str, str]) -> BaseSettings:
    source = EnvSettingsSource(model)
    source.env_vars = {name.lower(): value for name, value in {**_IN_A_POD, **environment}.items()}
    return _apart(model)(**source())


@cache
def _apart(model: type[BaseSettings]) -> type[BaseSettings]:
    """Settings that are given, whatever the environment is here. To change that for a while is no way: other threads read it."""

    class Apart(model):  # type: ignore[misc, valid-type]
        @classmethod
        def settings_customise_sources(
            cls, *_: object, init_settings: PydanticBaseSettingsSource, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings,)

    return Apart


def _stop_seconds(read: BaseModel) -> float:
    own = getattr(read, "stop_seconds", 0.0)
    return float(own) + sum(_stop_seconds(value) for _, value in read if isinstance(value, BaseModel))
