"""Lists and watches."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from chassis.testing.fake_kubernetes import errors, selectors
from chassis.testing.fake_kubernetes.kinds import Kind, Object
from chassis.testing.fake_kubernetes.store import Change, Store

END_OF_LIST = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class Selection:
    """Which objects a list or watch is about."""

    kind: Kind
    namespace: str
    by_label: selectors.Predicate
    by_field: selectors.Predicate

    @classmethod
    def of(cls, kind: Kind, namespace: str, name: str, query: Mapping[str, str]) -> Selection:
        """What a request selects; a watch of one object has its name."""
        by_field = selectors.fields(kind, query.get("fieldSelector", ""))
        if name:
            one = selectors.fields(kind, f"metadata.name={name}")
            return cls(kind, namespace, selectors.labels(""), lambda item: one(item) and by_field(item))
        return cls(kind, namespace, selectors.labels(query.get("labelSelector", "")), by_field)

    def has(self, item: Object | None) -> bool:
        """Whether it is selected."""
        return item is not None and self.by_label(item) and self.by_field(item)

    def about(self, change: Change) -> bool:
        """Whether a change can be seen by this selection."""
        return change.key[:2] == (self.kind.group, self.kind.plural) and self.namespace in ("", change.key[2])


class Lists:
    """Lists, in pieces where the caller sets a limit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: dict[int, list[Object]] = {}

    def page(self, selection: Selection, query: Mapping[str, str]) -> Object:
        """A list or a piece of one. A later piece shows the state of the first."""
        kind, limit, start = selection.kind, int(query.get("limit") or 0), 0
        revision = self._store.revision
        if "continue" in query:
            revision, start = _read_token(query["continue"])
            if revision < self._store.compacted or revision not in self._snapshots:
                raise errors.expired(
                    "The provided continue parameter is too old to display a consistent list result. "
                    "You can start a new list without the continue parameter."
                )
            items = self._snapshots[revision]
        else:
            items = [each for each in self._store.of(kind, selection.namespace) if selection.has(each)]
        metadata: Object = {"resourceVersion": str(revision)}
        if limit and start + limit < len(items):
            self._snapshots[revision] = items
            metadata["continue"] = _token(revision, start + limit)
        shown = items[start : start + limit] if limit else items[start:]
        if not kind.custom:  # items of the API's own lists tell neither kind nor version
            shown = [
                {name: value for name, value in each.items() if name not in ("kind", "apiVersion")} for each in shown
            ]
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": shown}


async def watch(
    store: Store, selection: Selection, query: Mapping[str, str], *, bookmark_every: float
) -> AsyncIterator[Object]:
    """Events from a resourceVersion on, without an end.

    From none or 0 it begins with what there is. From one whose history is gone it tells ERROR 410 and ends.
    """
    bookmarks = query.get("allowWatchBookmarks", "") in ("1", "true", "True")
    initial = query.get("sendInitialEvents", "") in ("1", "true", "True")
    asked = query.get("resourceVersion", "")
    at = store.revision
    if asked in ("", "0") or initial:
        for item in store.of(selection.kind, selection.namespace):
            if selection.has(item):
                yield {"type": "ADDED", "object": item}
        if initial and bookmarks:
            yield _bookmark(selection.kind, at, {END_OF_LIST: "true"})
    else:
        at = int(asked)
    while True:
        if at < store.compacted:
            gone = errors.expired(f"too old resource version: {at} ({store.compacted})")
            yield {"type": "ERROR", "object": gone.status}
            return
        for change in store.since(at):
            at = change.revision
            if selection.about(change) and (event := _event(selection, change)) is not None:
                yield event
        seen = store.revision
        await store.changed(bookmark_every)
        if bookmarks and store.revision == seen and at >= store.compacted:
            yield _bookmark(selection.kind, seen, {})
            at = max(at, seen)


def _event(selection: Selection, change: Change) -> Object | None:
    """What a watcher is told: an object that leaves the selection is DELETED, one that enters it ADDED."""
    was, is_now = selection.has(change.before), selection.has(change.after)
    if is_now:
        return {"type": "MODIFIED" if was else "ADDED", "object": change.after}
    if not was or change.before is None:
        return None
    last = change.before | {"metadata": change.before["metadata"] | {"resourceVersion": str(change.revision)}}
    return {"type": "DELETED", "object": last}


def _bookmark(kind: Kind, revision: int, annotations: dict[str, str]) -> Object:
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return {"type": "BOOKMARK", "object": {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}}


def _token(revision: int, start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, start]).encode()).decode()


def _read_token(token: str) -> tuple[int, int]:
    try:
        revision, start = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error) as problem:
        raise errors.bad_request("continue key is not valid") from problem
    return int(revision), int(start)
