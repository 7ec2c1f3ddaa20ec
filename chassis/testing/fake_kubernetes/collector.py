"""Garbage collection: dependents of owners that are gone, and the contents of namespaces that end."""

from __future__ import annotations

from chassis.testing.fake_kubernetes.kinds import NAMESPACE, Kind, Object
from chassis.testing.fake_kubernetes.registry import Registry
from chassis.testing.fake_kubernetes.store import Key


def collect(registry: Registry) -> None:
    """Delete until nothing is left to delete."""
    while _collect_once(registry):
        pass


def _collect_once(registry: Registry) -> bool:
    store = registry.store
    kinds = {(kind.group, kind.plural): kind for kind in registry.kinds()}
    before = store.revision
    for key in list(store.objects):
        kind, item = kinds.get(key[:2]), store.objects.get(key)
        if item is None:
            continue
        if kind is None:
            store.remove(key)  # its definition is gone
        elif kind == NAMESPACE:
            _empty(registry, kinds, item)
        elif "deletionTimestamp" in item["metadata"]:
            _release(registry, kinds, kind, key, item)
        elif _orphaned(registry, item):
            registry.delete(kind, key[2], key[3], {"propagationPolicy": "Background"})
    return store.revision != before


def _empty(registry: Registry, kinds: dict[tuple[str, str], Kind], namespace: Object) -> None:
    if namespace["status"]["phase"] != "Terminating":
        return
    name = namespace["metadata"]["name"]
    inside = [key for key in registry.store.objects if key[2] == name]
    for key in inside:
        item = registry.store.objects.get(key)
        if item is not None and "deletionTimestamp" not in item["metadata"]:
            registry.delete(kinds[key[:2]], name, key[3], {"gracePeriodSeconds": 0})
    if not [key for key in registry.store.objects if key[2] == name]:
        registry.store.remove(("", "namespaces", "", name))


def _release(registry: Registry, kinds: dict[tuple[str, str], Kind], kind: Kind, key: Key, owner: Object) -> None:
    """Do what the two finalizers of the collector wait for, then take them off."""
    finalizers = owner["metadata"].get("finalizers") or []
    mine = [each for each in finalizers if each in ("orphan", "foregroundDeletion")]
    if not mine:
        return
    for theirs in list(registry.store.objects):
        item = registry.store.objects[theirs]
        references = item["metadata"].get("ownerReferences") or []
        ours = [each for each in references if each["uid"] == owner["metadata"]["uid"]]
        if not ours:
            continue
        if "orphan" in mine:
            left = [each for each in references if each not in ours]
            patch = {"metadata": {"ownerReferences": left or None}}
            registry.patch(kinds[theirs[:2]], theirs[2], theirs[3], patch, "application/merge-patch+json")
        elif "deletionTimestamp" not in item["metadata"]:
            registry.delete(kinds[theirs[:2]], theirs[2], theirs[3], {"propagationPolicy": "Foreground"})
            return
        elif any(each.get("blockOwnerDeletion") for each in ours):
            return
    left = [each for each in finalizers if each not in mine]
    registry.patch(kind, key[2], key[3], {"metadata": {"finalizers": left or None}}, "application/merge-patch+json")


def _orphaned(registry: Registry, item: Object) -> bool:
    references = item["metadata"].get("ownerReferences") or []
    return bool(references) and not any(_exists(registry, item, each) for each in references)


def _exists(registry: Registry, item: Object, reference: Object) -> bool:
    return any(
        owner["metadata"]["uid"] == reference["uid"] and key[2] in ("", item["metadata"].get("namespace", ""))
        for key, owner in registry.store.objects.items()
    )
