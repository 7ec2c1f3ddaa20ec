"""Structural schemas of custom resources: unknown fields are dropped, defaults set, values checked. CEL rules are not."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chassis.testing.fake_kubernetes import errors
from chassis.testing.fake_kubernetes.kinds import Kind, Object

Schema = Mapping[str, Any]
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float),
}  # fmt: skip


def shaped(kind: Kind, item: Object) -> Object:
    """The object without fields that its schema does not know, and with its defaults."""
    if not kind.schema:
        return item
    return {
        name: value if name in ("apiVersion", "kind", "metadata") else _shaped(kind.schema["properties"][name], value)
        for name, value in _defaulted(kind.schema, item).items()
        if name in ("apiVersion", "kind", "metadata") or name in kind.schema.get("properties", {})
    }


def _shaped(schema: Schema, value: Any) -> Any:
    if isinstance(value, list):
        return [_shaped(schema.get("items", {}), each) for each in value]
    if not isinstance(value, dict):
        return value
    known, others = schema.get("properties") or {}, schema.get("additionalProperties")
    keep = schema.get("x-kubernetes-preserve-unknown-fields")
    result = {}
    for name, inner in _defaulted(schema, value).items():
        if name in known:
            result[name] = _shaped(known[name], inner)
        elif others:
            result[name] = _shaped(others, inner) if isinstance(others, dict) else inner
        elif keep:
            result[name] = inner
    return result


def _defaulted(schema: Schema, value: Object) -> Object:
    missing = {
        name: copy.deepcopy(inner["default"])
        for name, inner in (schema.get("properties") or {}).items()
        if "default" in inner and (name not in value or (value[name] is None and not inner.get("nullable")))
    }
    return {**value, **missing}


def faults(kind: Kind, item: Object) -> Iterator[dict[str, str]]:
    """Fields whose values the schema refuses."""
    known = (kind.schema.get("properties") or {}).items()
    for name in kind.schema.get("required") or []:
        if name not in item:
            yield errors.required(name)
    for name, schema in known:
        if name in item and name not in ("apiVersion", "kind", "metadata"):
            yield from _faults(schema, item[name], name)


def _faults(schema: Schema, value: Any, where: str) -> Iterator[dict[str, str]]:
    if value is None and schema.get("nullable"):
        return
    wanted = "integer or string" if schema.get("x-kubernetes-int-or-string") else schema.get("type", "")
    allowed = (int, str) if schema.get("x-kubernetes-int-or-string") else _TYPES.get(wanted, ())
    if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and wanted != "boolean")):
        text = f'Invalid value: "{_named(value)}": {where} in body must be of type {wanted}: "{_named(value)}"'
        yield errors.cause(where, "FieldValueTypeInvalid", text)
        return
    yield from _value_faults(schema, value, where)
    if isinstance(value, dict):
        for name in schema.get("required") or []:
            if name not in value:
                yield errors.required(f"{where}.{name}")
        others = schema.get("additionalProperties")
        for name, inner in value.items():
            known = (schema.get("properties") or {}).get(name) or (others if isinstance(others, dict) else {})
            yield from _faults(known, inner, f"{where}.{name}")
    if isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _faults(schema.get("items") or {}, inner, f"{where}[{i}]")


def _value_faults(schema: Schema, value: Any, where: str) -> Iterator[dict[str, str]]:
    shown = json.dumps(value) if isinstance(value, str | int | float) else ""
    if "enum" in schema and value not in schema["enum"]:
        choices = ", ".join(json.dumps(each) for each in schema["enum"])
        yield errors.cause(where, "FieldValueNotSupported", f"Unsupported value: {shown}: supported values: {choices}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            yield _outside(where, shown, f"greater than or equal to {schema['minimum']}")
        if value > schema.get("maximum", value):
            yield _outside(where, shown, f"less than or equal to {schema['maximum']}")
    if isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            text = f"Invalid value: {shown}: {where} in body should match '{schema['pattern']}'"
            yield errors.cause(where, "FieldValueInvalid", text)
        if len(value) < schema.get("minLength", 0):
            yield _outside(where, shown, f"at least {schema['minLength']} chars long")
        if len(value) > schema.get("maxLength", len(value)):
            text = f"Too long: may not be more than {schema['maxLength']} bytes"
            yield errors.cause(where, "FieldValueTooLong", text)
    if isinstance(value, list):
        yield from _list_faults(schema, value, where)


def _list_faults(schema: Schema, value: list[Any], where: str) -> Iterator[dict[str, str]]:
    size = len(value)
    if size < schema.get("minItems", 0):
        text = f"Invalid value: {size}: {where} in body should have at least {schema['minItems']} items"
        yield errors.cause(where, "FieldValueInvalid", text)
    if size > schema.get("maxItems", size):
        text = f"Too many: {size}: must have at most {schema['maxItems']} items"
        yield errors.cause(where, "FieldValueTooMany", text)


def _outside(where: str, shown: str, bound: str) -> dict[str, str]:
    return errors.cause(where, "FieldValueInvalid", f"Invalid value: {shown}: {where} in body should be {bound}")


def _named(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return "null" if value is None else names.get(type(value), "")
