"""Create, read, update, patch and delete with the API server's rules: versions, generations, finalizers, owners."""

from __future__ import annotations

import copy
import random
import uuid
from datetime import UTC, datetime
from typing import Any

from chassis.testing.fake_kubernetes import defaults, errors, patches, schemas
from chassis.testing.fake_kubernetes.kinds import BUILT_IN, CRD, NAMESPACE, POD, Kind, Object, of_definition
from chassis.testing.fake_kubernetes.store import Key, Store

# Set by the server, whatever a caller sends.
_KEPT = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class Registry:
    """The rules over a store. Each write is one step: nothing comes between its check and its effect."""

    def __init__(self, store: Store) -> None:
        self.store = store
        for name in ("default", "kube-system"):
            self.create(NAMESPACE, "", {"metadata": {"name": name}})

    def kinds(self) -> list[Kind]:
        """All kinds that are served now."""
        custom = [kind for definition in self.store.of(CRD) for kind in of_definition(definition)]
        return [*BUILT_IN, *custom]

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """An object."""
        found = self.store.get(_key(kind, namespace, name))
        if found is None:
            raise errors.not_found(kind, name)
        return found

    def create(self, kind: Kind, namespace: str, item: Object) -> Object:
        """Take a new object."""
        item = copy.deepcopy(item)
        metadata = item.setdefault("metadata", {})
        self._check_namespace(kind, namespace, metadata)
        if metadata.get("resourceVersion"):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        for name in _KEPT:
            metadata.pop(name, None)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(random.choices(_SUFFIX, k=5))  # noqa: S311
        item = {"apiVersion": kind.api_version, "kind": kind.name} | item
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        if kind.namespaced:
            metadata["namespace"] = namespace
        if kind.counts:
            metadata["generation"] = 1
        if kind.status:
            item.pop("status", None)
        if kind.custom:
            item = schemas.shaped(kind, item)
        _raise_faults(kind, item, None)
        defaults.fill(kind, item)
        key = _key(kind, namespace, metadata["name"])
        if key in self.store.objects:
            raise errors.exists(kind, metadata["name"])
        return self.store.put(key, item)

    def update(self, kind: Kind, namespace: str, name: str, item: Object, *, status: bool = False) -> Object:
        """Replace an object, or its status alone."""
        before = self.get(kind, namespace, name)
        if not (item.get("metadata") or {}).get("resourceVersion") and not kind.unconditional:
            cause = errors.cause(
                "metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0x0: must be specified for an update"
            )
            raise errors.invalid(kind, name, [cause])
        return self._write(kind, namespace, name, before, copy.deepcopy(item), status=status)

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, form: str, *, status: bool = False) -> Object:
        """Change a part of an object, or of its status alone."""
        before = self.get(kind, namespace, name)
        after = patches.apply(kind, copy.deepcopy(before), body, form)
        return self._write(kind, namespace, name, before, after, status=status)

    def delete(self, kind: Kind, namespace: str, name: str, options: Object) -> Object | None:
        """Delete an object. What is still there (finalizers, a Pod that ends) comes back; None where it is gone."""
        item = self.get(kind, namespace, name)
        metadata = item["metadata"]
        _check_preconditions(kind, metadata, options.get("preconditions") or {})
        grace = _grace(kind, item, options)
        finalizers = _with_propagation(metadata.get("finalizers") or [], _propagation(kind, options))
        if kind == NAMESPACE:
            item["status"]["phase"] = "Terminating"
        elif not finalizers and not grace:
            self.store.remove(_key(kind, namespace, name))
            return None
        metadata["finalizers"] = finalizers
        if not finalizers:
            del metadata["finalizers"]
        if "deletionTimestamp" not in metadata:
            metadata |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace}
            if "generation" in metadata:
                metadata["generation"] += 1
        elif grace < metadata["deletionGracePeriodSeconds"]:
            metadata["deletionGracePeriodSeconds"] = grace
        return self._put(kind, namespace, name, item)

    def bind(self, kind: Kind, namespace: str, name: str, node: str) -> Object:
        """Put a Pod on a node, as the scheduler does."""
        pod = self.get(kind, namespace, name)
        if pod["spec"].get("nodeName"):
            raise errors.conflict(kind, name, f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"')
        pod["spec"]["nodeName"] = node
        conditions = [each for each in pod["status"].get("conditions") or [] if each["type"] != "PodScheduled"]
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}
        pod["status"]["conditions"] = [*conditions, scheduled]
        self.store.put(_key(kind, namespace, name), pod)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _write(self, kind: Kind, namespace: str, name: str, before: Object, after: Object, *, status: bool) -> Object:
        sent, have = after.setdefault("metadata", {}), before["metadata"]
        if sent.get("resourceVersion") not in (None, "", have["resourceVersion"]):
            raise errors.conflict(kind, name)
        if sent.get("uid") not in (None, have["uid"]):
            text = f"Precondition failed: UID in precondition: {sent['uid']}, UID in object meta: {have['uid']}"
            raise errors.conflict(kind, name, text)
        if sent.get("name") not in (None, name):
            raise errors.bad_request(
                f"the name of the object ({sent['name']}) does not match the name on the URL ({name})"
            )
        item = before | {"status": after["status"]} if status and "status" in after else after if not status else before
        item = copy.deepcopy(item) | {"apiVersion": kind.api_version, "kind": kind.name}
        if not status and kind.status:
            item = {field: value for field, value in item.items() if field != "status"}
            item |= {"status": before["status"]} if "status" in before else {}
        item["metadata"] |= {"name": name, "resourceVersion": have["resourceVersion"]}
        for field in (*_KEPT, "namespace"):
            item["metadata"].pop(field, None)
            if field in have:
                item["metadata"][field] = have[field]
        if kind.custom:
            item = schemas.shaped(kind, item)
        _check_finalizers(kind, before, item)
        _raise_faults(kind, item, before)
        if kind.counts and _specified(item) != _specified(before):
            item["metadata"]["generation"] = have.get("generation", 1) + 1
        if item == before:
            return before
        return self._put(kind, namespace, name, item)

    def _put(self, kind: Kind, namespace: str, name: str, item: Object) -> Object:
        """Store an object, or end it when it was to be deleted and nothing holds it any more."""
        key, metadata = _key(kind, namespace, name), item["metadata"]
        ended = "deletionTimestamp" in metadata and not metadata["deletionGracePeriodSeconds"]
        if ended and not metadata.get("finalizers") and kind != NAMESPACE:
            self.store.remove(key)
            return item
        return item if item == self.store.objects.get(key) else self.store.put(key, item)

    def _check_namespace(self, kind: Kind, namespace: str, metadata: Object) -> None:
        if not kind.namespaced:
            return
        if metadata.get("namespace") not in (None, "", namespace):
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        place = self.store.get(_key(NAMESPACE, "", namespace))
        if place is None:
            raise errors.not_found(NAMESPACE, namespace)
        if place["status"]["phase"] == "Terminating":
            text = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden(kind, metadata.get("name", ""), text)


def now() -> str:
    """This second, as the API writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(kind: Kind, namespace: str, name: str) -> Key:
    return (kind.group, kind.plural, namespace if kind.namespaced else "", name)


def _specified(item: Object) -> Object:
    return {name: value for name, value in item.items() if name not in ("metadata", "status", "kind", "apiVersion")}


def _raise_faults(kind: Kind, item: Object, before: Object | None) -> None:
    found = [*defaults.faults(kind, item, before), *(schemas.faults(kind, item) if kind.custom else ())]
    if found:
        raise errors.invalid(kind, item["metadata"].get("name", ""), found)


def _check_finalizers(kind: Kind, before: Object, after: Object) -> None:
    if "deletionTimestamp" not in before["metadata"]:
        return
    added = sorted(set(after["metadata"].get("finalizers") or []) - set(before["metadata"].get("finalizers") or []))
    if added:
        names = ", ".join(f'"{each}"' for each in added)
        text = (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{names}}}"
        )
        cause = errors.cause("metadata.finalizers", "FieldValueForbidden", text)
        raise errors.invalid(kind, after["metadata"]["name"], [cause])


def _check_preconditions(kind: Kind, metadata: Object, wanted: Object) -> None:
    for field, told, fate in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        if wanted.get(field) not in (None, metadata[field]):
            text = (
                f'Operation cannot be fulfilled on {kind.qualified_kind} "{metadata["name"]}": the {told} in the '
                f"precondition ({wanted[field]}) does not match the {told} in record ({metadata[field]}). "
                f"The object might have been {fate}"
            )
            raise errors.ApiError(409, "Conflict", text, errors.details(kind, metadata["name"]))


def _grace(kind: Kind, item: Object, options: Object) -> int:
    """Seconds that a Pod has to end: only one that runs on a node has any."""
    if kind != POD or not item["spec"].get("nodeName") or item["status"].get("phase") in ("Succeeded", "Failed"):
        return 0
    return int(options.get("gracePeriodSeconds", item["spec"].get("terminationGracePeriodSeconds", 30)))


def _propagation(kind: Kind, options: Object) -> str:
    if "orphanDependents" in options:
        return "Orphan" if options["orphanDependents"] else "Background"
    return str(options.get("propagationPolicy") or ("Orphan" if kind.orphans else "Background"))


def _with_propagation(finalizers: list[str], propagation: str) -> list[str]:
    kept = [each for each in finalizers if each not in ("orphan", "foregroundDeletion")]
    return kept + {"Orphan": ["orphan"], "Foreground": ["foregroundDeletion"]}.get(propagation, [])
