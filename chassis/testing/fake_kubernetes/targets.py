"""What a request is about: the kind, the object and the verb that its method, path and query name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chassis.testing.fake_kubernetes import errors
from chassis.testing.fake_kubernetes.kinds import Kind

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# They would change what a request means, and the fake does not know them.
_UNKNOWN = ("dryRun", "fieldManager.force")


@dataclass(frozen=True)
class Target:
    """A request's object or collection.

    Attributes:
        kind: Its kind.
        verb: As authorization names it.
        namespace: Empty at cluster scope and for lists over all namespaces.
        name: Empty for a collection.
        subresource: Such as `status`; mostly empty.
    """

    kind: Kind
    verb: str
    namespace: str
    name: str
    subresource: str


def target(method: str, path: str, query: Mapping[str, str], kinds: Sequence[Kind]) -> Target:
    """Read a request.

    Raises:
        errors.ApiError: 404 for what is not served, 405 for a method that does not fit.
    """
    parts = [each for each in path.split("/") if each]
    size = 2 if parts[0] == "api" else 3
    group, version = ("", parts[1]) if size == 2 else (parts[1], parts[2])
    rest, namespace = parts[size:], ""
    served = {kind.plural: kind for kind in kinds if (kind.group, kind.version) == (group, version)}
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] in served:
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) > 2 and group:
        raise errors.no_such_resource()
    kind = served.get(rest[0])
    name, subresource = [*rest[1:], "", ""][:2]
    if kind is None or len(rest) > 3 or bool(namespace) != (kind.namespaced and (bool(name) or bool(namespace))):
        raise errors.no_such_resource()
    if subresource and subresource not in (*kind.subresources, *(["status"] if kind.status else [])):
        raise errors.no_such_resource()
    if any(each in query for each in _UNKNOWN):
        raise errors.ApiError(501, "NotImplemented", f"the fake API server knows none of {', '.join(_UNKNOWN)}")
    return Target(kind, _verb(method, name, subresource, query), namespace, name, subresource)


def _verb(method: str, name: str, subresource: str, query: Mapping[str, str]) -> str:
    if method == "POST" and subresource in ("binding", "eviction"):
        return "create"
    if method == "GET":
        watching = query.get("watch", "") in ("1", "true", "True")
        return "watch" if watching else "get" if name else "list"
    verb = _VERBS.get(method, "")
    if verb == "delete" and not name:
        return "deletecollection"
    if not verb or bool(name) == (verb == "create"):
        message = "the server does not allow this method on the requested resource"
        raise errors.ApiError(405, "MethodNotAllowed", message, {})
    return verb
