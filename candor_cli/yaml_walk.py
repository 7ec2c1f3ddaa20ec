"""Walk YAML beside a message descriptor: every mistake named by field, and the line of every field."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from candor_cli.tables import encodable
from chassis.errors import CandorError, FieldViolation, Reason

_INTEGERS = {
    FieldDescriptor.TYPE_INT32: 2**31,
    FieldDescriptor.TYPE_INT64: 2**63,
    FieldDescriptor.TYPE_UINT32: 2**32,
    FieldDescriptor.TYPE_UINT64: 2**64,
}
_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


def load_yaml(text: str, path: Path) -> Any:
    """The tree of a YAML text, with line marks. Raises CandorError BAD_DOCUMENT with line and column."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    try:
        return yaml.load(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CandorError(
            Reason.BAD_DOCUMENT, f"{path}{where}: not valid YAML: {error.problem or error.context}"
        ) from error


class Walker:
    """Collects violations and the 1-based line of every field path."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []
        self.lines: dict[str, int] = {}

    def message(self, node: Any, descriptor: Descriptor, path: str) -> dict[str, Any]:
        """The fields of a message, as `json_format.ParseDict` takes them; `path` is where it stands."""
        if not isinstance(node, Mapping):
            self._bad(
                path or "document", f"must be a mapping with fields such as {_some(descriptor)}, not {_kind(node)}"
            )
            return {}
        result: dict[str, Any] = {}
        oneofs: dict[str, str] = {}
        for key, value in node.items():
            where = f"{path}.{key}" if path else str(key)
            self._mark(node, key, where)
            field = descriptor.fields_by_name.get(str(key))
            if field is None:
                self._bad(where, _unknown(str(key), descriptor))
                continue
            if value is None:
                self._bad(where, "has no value; give one or remove the line")
                continue
            oneof = field.containing_oneof
            if oneof is not None and len(oneof.fields) > 1:
                if oneof.name in oneofs:
                    self._bad(where, f"cannot stand beside {oneofs[oneof.name]}; give one of them")
                    continue
                oneofs[oneof.name] = str(key)
            result[str(key)] = self._field(value, field, where)
        return result

    def _field(self, value: Any, field: FieldDescriptor, where: str) -> Any:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            if not isinstance(value, Mapping):
                self._bad(where, f"must be a mapping by name, not {_kind(value)}")
                return {}
            entry = message.fields_by_name["value"]
            result = {}
            for key, item in value.items():
                self._mark(value, key, f"{where}.{key}")
                if not encodable(str(key)):
                    self._bad(where, "has a name with half of a character (an unpaired surrogate); write it whole")
                    continue
                result[str(key)] = self._single(item, entry, f"{where}.{key}")
            return result
        if field.is_repeated:
            if not isinstance(value, Sequence) or isinstance(value, str):
                self._bad(where, f"must be a list, not {_kind(value)}")
                return []
            for index in range(len(value)):
                self._mark(value, index, f"{where}[{index}]")
            return [self._single(item, field, f"{where}[{index}]") for index, item in enumerate(value)]
        return self._single(value, field, where)

    def _single(self, value: Any, field: FieldDescriptor, where: str) -> Any:
        if field.message_type is not None:
            return self.message(value, field.message_type, where)
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._string(value, where)
        if field.type == FieldDescriptor.TYPE_BOOL:
            if isinstance(value, bool):
                return value
            self._bad(where, f"must be true or false, not {_kind(value)}")
            return False
        return self._number(value, field, where)

    def _string(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            hint = f'; write "{value}"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
            self._bad(where, f"must be text, not {_kind(value)}{hint}")
            return ""
        if not encodable(value):
            self._bad(where, "holds half of a character (an unpaired surrogate); write it whole")
            return ""
        return str(value)

    def _number(self, value: Any, field: FieldDescriptor, where: str) -> float | int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._bad(where, f"must be a number, not {_kind(value)}")
            return 0
        if field.type in _FLOATS:
            if not math.isfinite(value):
                self._bad(where, f"must be a finite number, not {value}")
                return 0
            return float(value)
        if int(value) != value or abs(int(value)) >= _INTEGERS[field.type]:
            self._bad(where, f"must be a whole number within range, not {value}")
            return 0
        return int(value)

    def _mark(self, node: Any, key: Any, where: str) -> None:
        marks = getattr(node, "lc", None)
        if marks is not None and marks.data is not None and key in marks.data:
            self.lines[where] = marks.data[key][0] + 1

    def _bad(self, where: str, text: str) -> None:
        self.violations.append(FieldViolation(where, text))


def _unknown(key: str, descriptor: Descriptor) -> str:
    near = difflib.get_close_matches(key, list(descriptor.fields_by_name), n=1)
    hint = f"did you mean {near[0]}?" if near else f"fields here are {_some(descriptor)}"
    return f"is not a field; {hint}"


def _some(descriptor: Descriptor) -> str:
    return ", ".join(descriptor.fields_by_name)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 40 else "text"
    if isinstance(value, Sequence):
        return "a list"
    return repr(value)
