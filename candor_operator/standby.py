"""Whether another operator leads: then this one watches nothing, and that is no fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_PEERINGS = "/apis/kopf.dev/v1"


def peering_path(name: str, namespace: str | None) -> str:
    """Where the object is by which operators know of each other."""
    if namespace is None:
        return f"{_PEERINGS}/clusterkopfpeerings/{name}"
    return f"{_PEERINGS}/namespaces/{namespace}/kopfpeerings/{name}"


def leaders(peering: Mapping[str, Any], identity: str, priority: int, now: datetime) -> Iterator[str]:
    """The operators to which this one gives way: alive, and not below it."""
    for name, peer in (peering.get("status") or {}).items():
        if name == identity or int(peer.get("priority", 0)) < priority:
            continue
        seen = datetime.fromisoformat(peer["lastseen"]).astimezone(UTC)
        if seen + timedelta(seconds=int(peer.get("lifetime", 60))) > now:
            yield name
