"""Label and field selectors of lists and watches."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chassis.testing.fake_kubernetes import errors
from chassis.testing.fake_kubernetes.kinds import Kind, Object

Predicate = Callable[[Object], bool]
_SET = re.compile(r"^(?P<key>[^\s!=]+)\s+(?P<how>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=]+)\s*(?P<how>==|=|!=)\s*(?P<value>[^\s=!]*)$")
_COMMA = re.compile(r",(?![^(]*\))")


def labels(text: str) -> Predicate:
    """Such as `a=b,c!=d,e in (f,g),h,!i`."""
    wanted = [_requirement(part.strip()) for part in _COMMA.split(text) if part.strip()]
    return lambda item: all(each(item["metadata"].get("labels") or {}) for each in wanted)


def _requirement(part: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(part):
        key, values = found["key"], {each.strip() for each in found["values"].split(",")}
        if found["how"] == "in":
            return lambda have: have.get(key) in values
        return lambda have: have.get(key) not in values
    if found := _EQUAL.match(part):
        key, value = found["key"], found["value"]
        if found["how"] == "!=":
            return lambda have: have.get(key) != value
        return lambda have: have.get(key) == value
    if re.fullmatch(r"!?[\w./-]+", part):
        absent, key = part.startswith("!"), part.lstrip("!")
        return lambda have: (key not in have) if absent else (key in have)
    raise errors.bad_request(f"unable to parse requirement: {part!r}: it is none of the forms of a label selector")


def fields(kind: Kind, text: str) -> Predicate:
    """Such as `metadata.name=x,status.phase!=Running`; only fields that the kind can be selected by."""
    wanted = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        found = _EQUAL.match(part)
        if not found:
            raise errors.bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, value, equal = found["key"], found["value"], found["how"] != "!="
        known = {"metadata.name", *(["metadata.namespace"] if kind.namespaced else []), *kind.fields}
        if path not in known:
            about = f'"{kind.api_version if kind.group else "/" + kind.version}, Resource={kind.plural}"'
            raise errors.bad_request(
                f'Unable to find {about} that match label selector "", field selector "{text}": '
                f"field label not supported: {path}"
            )
        wanted.append((path, value, equal))
    return lambda item: all((_at(item, path) == value) == equal for path, value, equal in wanted)


def _at(item: Object, path: str) -> str:
    value: Any = item
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
