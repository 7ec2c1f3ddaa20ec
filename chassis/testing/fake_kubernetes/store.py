"""The objects and the history of their changes: what etcd is to an API server."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from dataclasses import dataclass

from chassis.testing.fake_kubernetes.kinds import Kind, Object

Key = tuple[str, str, str, str]
"""Group, plural, namespace (empty at cluster scope), name."""


@dataclass(frozen=True)
class Change:
    """One write.

    Attributes:
        revision: Its resourceVersion.
        key: Of which object.
        before: The object as it was; None where it is new.
        after: The object as it is; None where it is gone. What was deleted lies in `before`, with this revision.
    """

    revision: int
    key: Key
    before: Object | None
    after: Object | None


class Store:
    """Objects by key, changes in order. It is used on one event loop alone."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.objects: dict[Key, Object] = {}
        self.changes: deque[Change] = deque()
        self._changed = asyncio.Event()

    def get(self, key: Key) -> Object | None:
        """A copy of an object."""
        return copy.deepcopy(self.objects.get(key))

    def of(self, kind: Kind, namespace: str = "") -> list[Object]:
        """Copies of the objects of a kind, in the order of namespace and name; an empty namespace means all."""
        keys = sorted(key for key in self.objects if key[:2] == (kind.group, kind.plural) and namespace in ("", key[2]))
        return [copy.deepcopy(self.objects[key]) for key in keys]

    def put(self, key: Key, item: Object) -> Object:
        """Write an object; gives it with its new resourceVersion."""
        self.revision += 1
        stored = copy.deepcopy(item)
        stored["metadata"]["resourceVersion"] = str(self.revision)
        self._tell(Change(self.revision, key, self.objects.get(key), stored))
        self.objects[key] = stored
        return copy.deepcopy(stored)

    def remove(self, key: Key) -> Object:
        """Remove an object; gives its last state."""
        self.revision += 1
        last = copy.deepcopy(self.objects.pop(key))
        last["metadata"]["resourceVersion"] = str(self.revision)
        self._tell(Change(self.revision, key, last, None))
        return last

    def compact(self) -> None:
        """Forget the history: a watch from before now gets 410."""
        self.changes.clear()
        self.compacted = self.revision
        self.wake()

    def since(self, revision: int) -> list[Change]:
        """Changes after a revision, oldest first."""
        return [each for each in self.changes if each.revision > revision]

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, at_most: float) -> None:
        """Wait for the next change, at most that many seconds."""
        try:
            await asyncio.wait_for(self._changed.wait(), at_most)
        except TimeoutError:
            return

    def _tell(self, change: Change) -> None:
        self.changes.append(change)
        self.wake()
