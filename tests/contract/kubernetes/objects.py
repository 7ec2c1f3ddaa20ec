"""Small objects that the tests create."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from chassis.testing.fake_kubernetes import Client, Refused

GROUP = "contract.candor.dev"
WIDGETS = f"/apis/{GROUP}/v1/namespaces"


def config(name: str = "c", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more}, "data": {"a": "1", "b": "2"}}


def job(name: str = "j", **spec: Any) -> dict[str, Any]:
    """A Job whose Pod no node takes."""
    pod = {
        "restartPolicy": "Never",
        "nodeSelector": {"candor.dev/no-such-pool": "true"},
        "terminationGracePeriodSeconds": 5,
        "containers": [{"name": "main", "image": "example.invalid/none:1"}],
    }
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod}, "suspend": True, **spec}}


def widget(name: str = "w", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1, **spec}}


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"widgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "shortNames": ["wdg"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "colour": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                                    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
                                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def refused(call: Callable[[], object], code: int, reason: str) -> str:
    """The message of a call that is refused with this code and reason."""
    with pytest.raises(Refused) as caught:
        call()
    assert (caught.value.code, caught.value.status["reason"]) == (code, reason), caught.value.status
    return str(caught.value.status["message"])


def until(look: Callable[[], Any], *, seconds: float = 20) -> Any:
    """What `look` gives once it gives something; a real cluster's controllers take their time."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come about in time"
    return found


def absent(client: Client, path: str) -> bool:
    try:
        client.get(path)
    except Refused as answer:
        return answer.code == 404
    return False
