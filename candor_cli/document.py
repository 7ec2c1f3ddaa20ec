"""Read an evaluation document from YAML: every unknown field, wrong type and missing file with its line.

The proto is the schema. This reader walks the YAML beside the message descriptors, so that a mistake is named by field
and line; what a field means is the orchestrator's business.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from candor.common.v1 import model_pb2
from candor.orchestrator.v1 import evaluation_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from candor_cli.tables import encodable
from chassis.errors import CandorError, FieldViolation, Reason, invalid

_MAX_BYTES = 4 * 2**20
_MAX_PROMPT_BYTES = 1 * 2**20
_INTEGERS = {
    FieldDescriptor.TYPE_INT32: 2**31,
    FieldDescriptor.TYPE_INT64: 2**63,
    FieldDescriptor.TYPE_UINT32: 2**32,
    FieldDescriptor.TYPE_UINT64: 2**64,
}
_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read: the spec, where its relative paths start, and the line of each field.

    Attributes:
        spec: The message; task paths are absolute, system prompt files are read into `text`.
        folder: Where relative paths start, and where `.candor/` lies.
        lines: 1-based line of each field path.
    """

    spec: evaluation_pb2.EvaluationSpec
    folder: Path
    lines: Mapping[str, int]

    def located(self, error: CandorError) -> CandorError:
        """The same error with line numbers beside its fields."""
        violations = [FieldViolation(_with_line(item.field, self.lines), item.description) for item in error.violations]
        return CandorError(error.reason, error.message, violations=tuple(violations), metadata=error.metadata)


def read_document(path: Path) -> Document:
    """Read and check a YAML document.

    Raises:
        CandorError: BAD_DOCUMENT with every violation at once.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CandorError(Reason.BAD_DOCUMENT, f"{path}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise CandorError(
            Reason.BAD_DOCUMENT, f"{path}: larger than {_MAX_BYTES} bytes; put questions in a file of their own"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CandorError(Reason.BAD_DOCUMENT, f"{path}: line {line} is not UTF-8; save the file as UTF-8") from error
    return parse_document(text, path)


def parse_document(text: str, path: Path) -> Document:
    """As `read_document`, for text already read; `path` names it and anchors relative paths."""
    tree = _load(text, path)
    walker = _Walker()
    spec_fields = walker.message(tree, evaluation_pb2.EvaluationSpec.DESCRIPTOR, "")
    if walker.violations:
        raise _bad(path, walker.violations, walker.lines)
    spec = evaluation_pb2.EvaluationSpec()
    json_format.ParseDict(spec_fields, spec)
    folder = path.resolve().parent
    problems = list(_resolve_files(spec, folder))
    if problems:
        raise _bad(path, problems, walker.lines)
    return Document(spec, folder, walker.lines)


def _load(text: str, path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    try:
        tree = yaml.load(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CandorError(
            Reason.BAD_DOCUMENT, f"{path}{where}: not valid YAML: {error.problem or error.context}"
        ) from error
    if tree is None:
        raise CandorError(Reason.BAD_DOCUMENT, f"{path}: the document is empty; it needs arms and baseline")
    if isinstance(tree, MutableMapping) and tree.get("gate") == "none":
        tree["gate"] = {"mode": "none"}
    if isinstance(tree, Mapping) and tree.get("kind") == "Evaluation" and "spec" in tree:
        tree = tree["spec"]  # the custom resource's form of the same document
    return tree


class _Walker:
    """Walks YAML beside a message descriptor, collecting violations and the line of every field."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []
        self.lines: dict[str, int] = {}

    def message(self, node: Any, descriptor: Descriptor, path: str) -> dict[str, Any]:
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


def _resolve_files(spec: evaluation_pb2.EvaluationSpec, folder: Path) -> Iterator[FieldViolation]:
    """Make task, checkpoint and scorer paths absolute and read prompt files."""
    for index, task in enumerate(spec.tasks):
        if task.path:
            path = (folder / task.path).expanduser()
            task.path = str(path)
            if not path.exists():
                yield FieldViolation(f"tasks[{index}].path", f"{path} does not exist")
            elif not task.name:
                task.name = path.stem
    for name, arm in spec.arms.items():
        if arm.WhichOneof("source") == "checkpoint" and arm.checkpoint.path:
            arm.checkpoint.path = str((folder / arm.checkpoint.path).expanduser())
        if arm.system_prompt.WhichOneof("source") == "file":
            yield from _read_prompt(arm.system_prompt, folder, f"arms.{name}.system_prompt.file")
    if spec.warmth.model:
        local = (folder / spec.warmth.model).expanduser()
        if local.is_dir():
            spec.warmth.model = str(local)


def _read_prompt(prompt: model_pb2.SystemPrompt, folder: Path, where: str) -> Iterator[FieldViolation]:
    path = (folder / prompt.file).expanduser()
    try:
        if path.stat().st_size > _MAX_PROMPT_BYTES:
            yield FieldViolation(where, f"{path} is larger than {_MAX_PROMPT_BYTES} bytes")
            return
        prompt.text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        yield FieldViolation(where, f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        yield FieldViolation(where, f"{path} is not UTF-8")


def _bad(path: Path, violations: Sequence[FieldViolation], lines: Mapping[str, int]) -> CandorError:
    located = [FieldViolation(_with_line(item.field, lines), item.description) for item in violations]
    count = "1 field" if len(located) == 1 else f"{len(located)} fields"
    return invalid(f"{path}: {count} to mend", located, Reason.BAD_DOCUMENT)


def _with_line(field: str, lines: Mapping[str, int]) -> str:
    """`field (line 7)`; a field that is missing takes the line of its nearest parent."""
    candidate = field
    while candidate:
        if candidate in lines:
            return f"{field} (line {lines[candidate]})"
        cut = max(candidate.rfind("."), candidate.rfind("["))
        candidate = candidate[:cut] if cut > 0 else ""
    return field


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
