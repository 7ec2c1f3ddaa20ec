"""A rendered Pod template as arguments of `podman create`: what the kubelet would do with the same fields.

Fields that only a scheduler reads are passed over. What would change how the container runs and is not known here is an error, so that
a manifest is never tested as less than it says.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.containers.objects import Objects

_POD = frozenset({
    *("containers", "volumes", "securityContext", "terminationGracePeriodSeconds", "serviceAccountName"),
    *("automountServiceAccountToken", "enableServiceLinks", "restartPolicy"),
    *("topologySpreadConstraints", "affinity", "tolerations", "nodeSelector", "priorityClassName"),
})  # fmt: skip
_CONTAINER = frozenset({
    *("name", "image", "imagePullPolicy", "command", "args", "env", "envFrom", "ports", "resources"),
    *("securityContext", "volumeMounts", "lifecycle", "startupProbe", "readinessProbe", "livenessProbe"),
    "terminationMessagePolicy",
})  # fmt: skip


class UnknownFieldError(Exception):
    """The template says something that this runner does not do."""


@dataclass(frozen=True, slots=True)
class Template:
    """A Pod template and the objects that it names.

    Attributes:
        metadata: Of the pod; its labels choose Services.
        spec: Of the pod, with one container.
        objects: Where ConfigMaps and Secrets are found.
        folder: On this machine, for volumes. Claims are shared by pods, emptyDirs are not.
    """

    metadata: dict[str, Any]
    spec: dict[str, Any]
    objects: Objects
    folder: Path

    @classmethod
    def of(cls, workload: dict[str, Any], objects: Objects, folder: Path) -> Template:
        """The template of a Deployment, StatefulSet or Job; a StatefulSet's claims are volumes of their pods."""
        template = workload["spec"]["template"]
        own = [
            {"name": claim["metadata"]["name"], "emptyDir": {}}
            for claim in workload["spec"].get("volumeClaimTemplates", [])
        ]
        spec = {**template["spec"], "volumes": [*template["spec"].get("volumes", []), *own]}
        return cls(template["metadata"], spec, objects, folder)

    @property
    def container(self) -> dict[str, Any]:
        """Its one container."""
        (found,) = self.spec["containers"]
        return dict(found)

    def arguments(self, pod: str, image: str) -> list[str]:
        """Everything after `podman create` but name and network.

        Raises:
            UnknownFieldError: It has fields that are not known here.
            KeyError: A ConfigMap or Secret that must be there is missing.
        """
        container = self.container
        unknown = [*(self.spec.keys() - _POD), *(container.keys() - _CONTAINER)]
        if unknown:
            raise UnknownFieldError(f"{pod}: {', '.join(sorted(unknown))}")
        environment = self._environment(pod)
        command, arguments = (
            [_expanded(word, environment) for word in container.get(key, [])] for key in ("command", "args")
        )
        return [
            *("--hostname", pod),
            *self._security(),
            *(word for name, value in environment.items() for word in ("--env", f"{name}={value}")),
            *self._mounts(pod),
            *(("--entrypoint", command[0]) if command else ()),
            image,
            *command[1:],
            *arguments,
        ]

    def port(self, name: int | str) -> int:
        """A port by its number or name."""
        named = {each["name"]: each["containerPort"] for each in self.container.get("ports", []) if "name" in each}
        return int(named.get(name, name))

    def _security(self) -> list[str]:
        pod = self.spec.get("securityContext", {})
        own = {**pod, **self.container.get("securityContext", {})}
        words = (
            ["--user", f"{own['runAsUser']}:{own.get('runAsGroup', own['runAsUser'])}"] if "runAsUser" in own else []
        )
        if "fsGroup" in pod:
            words += ["--group-add", str(pod["fsGroup"])]
        if own.get("readOnlyRootFilesystem"):
            words += ["--read-only", "--read-only-tmpfs=false"]
        words += [f"--cap-drop={name}" for name in own.get("capabilities", {}).get("drop", [])]
        if own.get("allowPrivilegeEscalation") is False:
            words += ["--security-opt", "no-new-privileges"]
        return words

    def _environment(self, pod: str) -> dict[str, str]:
        values: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if reference := source.get(field):
                    values |= self.objects.values(kind, reference["name"], optional=reference.get("optional", False))
        for entry in self.container.get("env", []):
            value = entry.get("value", "") if "valueFrom" not in entry else self._value(entry["valueFrom"], pod)
            if value is not None:
                values[entry["name"]] = value
        return values

    def _value(self, source: dict[str, Any], pod: str) -> str | None:
        if field := source.get("fieldRef"):
            if field["fieldPath"] != "metadata.name":
                raise UnknownFieldError(f"{pod}: fieldPath {field['fieldPath']}")
            return pod
        kind, reference = next(
            (kind, source[name])
            for name, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap"))
            if name in source
        )
        optional = reference.get("optional", False)
        values = self.objects.values(kind, reference["name"], optional=optional)
        return values.get(reference["key"]) if optional else values[reference["key"]]

    def _mounts(self, pod: str) -> list[str]:
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        words: list[str] = []
        for mount in self.container.get("volumeMounts", []):
            source = self._volume(volumes[mount["name"]], pod)
            inside = source / mount["subPath"] if "subPath" in mount else source
            mode = "ro" if mount.get("readOnly") else "rw"
            words += ["--volume", f"{inside}:{mount['mountPath']}:{mode}"]
        return words

    def _volume(self, volume: dict[str, Any], pod: str) -> Path:
        if claim := volume.get("persistentVolumeClaim"):
            return self._folder("claims", claim["claimName"])
        folder = self._folder(pod, volume["name"])
        if "emptyDir" in volume:
            return folder
        for field, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            if reference := volume.get(field):
                values = self.objects.values(kind, reference[name], optional=reference.get("optional", False))
                items = {item["key"]: item["path"] for item in reference.get("items", [])} or {
                    key: key for key in values
                }
                for key, path in items.items():
                    if key in values:
                        self._write(folder / path, values[key])
                return folder
        raise UnknownFieldError(f"{pod}: volume {volume['name']} with {', '.join(volume.keys() - {'name'})}")

    def _folder(self, owner: str, name: str) -> Path:
        found = self.folder / owner / name
        found.mkdir(parents=True, exist_ok=True)
        self._share(found, 0o2775)
        return found

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        self._share(path, 0o640)

    def _share(self, path: Path, mode: int) -> None:
        if os.geteuid() == 0:  # only root starts pods
            os.chown(path, 0, self.spec.get("securityContext", {}).get("fsGroup", 0))
        path.chmod(mode)


def _expanded(word: str, environment: dict[str, str]) -> str:
    """A word of command or args with $(NAME) replaced."""
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), word)
