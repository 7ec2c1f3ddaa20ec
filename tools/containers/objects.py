"""The objects of a rendered overlay: `kubectl kustomize OVERLAY`, or a file of its output."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]


class Objects:
    """Objects by kind and name."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._objects = {(each["kind"], each["metadata"]["name"]): each for each in objects}

    @classmethod
    def parse(cls, text: str) -> Objects:
        """From YAML documents."""
        return cls(each for each in yaml.safe_load_all(text) if each)

    @classmethod
    def render(cls, overlay: Path) -> Objects:
        """From an overlay's folder."""
        command = ["kubectl", "kustomize", str(overlay)]
        return cls.parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def get(self, kind: str, name: str) -> Object:
        """One object. Raises KeyError that names it."""
        return self._objects[kind, name]

    def add(self, item: Object) -> None:
        """Add an object, or put it in another's place."""
        self._objects[item["kind"], item["metadata"]["name"]] = item

    def values(self, kind: str, name: str, *, optional: bool = False) -> dict[str, str]:
        """The keys of a ConfigMap or Secret; an optional one that is missing has none."""
        if optional and (kind, name) not in self._objects:
            return {}
        found = self.get(kind, name)
        data = found.get("data", {})
        if kind == "Secret":
            data = {key: base64.b64decode(value).decode() for key, value in data.items()}
        return {**data, **found.get("stringData", {})}

    def services_of(self, labels: Mapping[str, str]) -> list[str]:
        """Names of the Services that select pods with these labels."""
        selectors = {
            name: each["spec"].get("selector") or {}
            for (kind, name), each in self._objects.items()
            if kind == "Service"
        }
        return [name for name, wanted in selectors.items() if wanted and wanted.items() <= labels.items()]
