"""Changes that a PATCH asks for: JSON merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge of maps and named lists."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

from chassis.testing.fake_kubernetes import errors
from chassis.testing.fake_kubernetes.kinds import Kind, Object

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

# Lists that a strategic merge joins by a key (`patchMergeKey` of the API's types); all others are replaced.
_KEYS = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "ports": "containerPort", "ownerReferences": "uid", "conditions": "type", "imagePullSecrets": "name",
    "tolerations": "", "finalizers": "=",
}  # fmt: skip


def apply(kind: Kind, before: Object, body: Any, content_type: str) -> Object:
    """The object after the patch; `before` stays as it is."""
    form = content_type.split(";", maxsplit=1)[0].strip()
    taken = (MERGE, JSON) if kind.custom else (MERGE, JSON, STRATEGIC)
    if form not in taken:
        message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(taken)}"
        raise errors.ApiError(415, "UnsupportedMediaType", message)
    if form == JSON:
        return _json(before, body)
    if not isinstance(body, dict):
        raise errors.bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        )
    return dict(merged(before, body) if form == MERGE else _strategic(before, body))


def merged(before: Any, patch: Any) -> Any:
    """JSON merge patch: maps are joined, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _json(before: Object, operations: Any) -> Object:
    try:
        after = jsonpatch.JsonPatch(operations).apply(before)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as problem:
        message = "the server rejected our request due to an error in our request"
        raise errors.ApiError(422, "Invalid", message) from problem
    return dict(after)


def _strategic(before: Any, patch: Any, name: str = "") -> Any:
    if isinstance(patch, dict):
        result = dict(before) if isinstance(before, dict) else {}
        for field, value in patch.items():
            if value is None:
                result.pop(field, None)
            elif not field.startswith("$"):
                result[field] = _strategic(result.get(field), value, field)
        return result
    key = _KEYS.get(name, "")
    if isinstance(patch, list) and isinstance(before, list) and key:
        return _joined(before, patch, key)
    return copy.deepcopy(patch)


def _joined(before: list[Any], patch: list[Any], key: str) -> list[Any]:
    if key == "=":
        return [*before, *(each for each in patch if each not in before)]
    result = list(before)
    for item in patch:
        where = next((i for i, each in enumerate(result) if each.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            result = [each for i, each in enumerate(result) if i != where]
        elif where is None:
            result.append(copy.deepcopy(item))
        else:
            result[where] = _strategic(result[where], item)
    return result
