"""The API as it tells about itself: `/version`, `/api`, `/apis` and the resources of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.testing.fake_kubernetes.kinds import Kind, Object

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0", "platform": "linux/amd64"}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def answer(path: str, kinds: Sequence[Kind], address: str) -> Object | None:
    """The document at a path of discovery; None where the path is none."""
    parts = [each for each in path.split("/") if each]
    if parts == ["version"]:
        return dict(VERSION)
    if parts == ["api"]:
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
    if parts == ["apis"]:
        names = sorted({kind.group for kind in kinds if kind.group})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, kinds) for name in names]}
    if parts[:1] == ["apis"] and len(parts) == 2:
        known = any(kind.group == parts[1] for kind in kinds)
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], kinds)} if known else None
    if len(parts) == (2 if parts[:1] == ["api"] else 3) and parts[:1] in (["api"], ["apis"]):
        return _resources("/".join(parts[1:]), kinds)
    return None


def _group(name: str, kinds: Sequence[Kind]) -> Object:
    versions = dict.fromkeys(kind.version for kind in kinds if kind.group == name)
    told = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": told, "preferredVersion": told[0]}


def _resources(api_version: str, kinds: Sequence[Kind]) -> Object | None:
    served = [kind for kind in kinds if kind.api_version == api_version]
    if not served:
        return None
    told = [each for kind in served for each in _resource(kind)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": told}


def _resource(kind: Kind) -> list[dict[str, Any]]:
    own: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": list(_VERBS),
    }
    if kind.short:
        own["shortNames"] = list(kind.short)
    below = [("status", ["get", "patch", "update"])] if kind.status else []
    below += [(each, ["get"] if each == "log" else ["create"]) for each in kind.subresources]
    told = {"singularName": "", "namespaced": kind.namespaced, "kind": kind.name}
    return [own, *({"name": f"{kind.plural}/{name}", **told, "verbs": verbs} for name, verbs in below)]
