"""Read an evaluation document from YAML: every unknown field, wrong type and missing file with its line.

The proto is the schema. The reader walks the YAML beside the message descriptors (`yaml_walk`), so that a mistake is named
by field and line, and reads the files that the document refers to (`referenced`); what a field means is the orchestrator's
business.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2
from google.protobuf import json_format

from candor_cli.referenced import resolve_files
from candor_cli.yaml_walk import Walker, load_yaml
from chassis.custom_resource import KIND, OPERATOR_FIELDS
from chassis.errors import CandorError, FieldViolation, Reason, invalid

_MAX_BYTES = 4 * 2**20
# What the client makes of a field that a person writes: errors about it belong to the line of that field.
_WRITTEN = (("style_definition", "style_file"), ("conversations.dataset", "conversations.path"))


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read: the spec, where its relative paths start, and the line of each field.

    Attributes:
        spec: The message; paths are absolute, prompt and style files are read into it.
        folder: Where relative paths start, and where `.candor/` lies.
        lines: 1-based line of each field path.
    """

    spec: evaluation_pb2.EvaluationSpec
    folder: Path
    lines: Mapping[str, int]

    @property
    def makes_arms(self) -> bool:
        """Whether an arm is to be made by fine-tuning."""
        return any(arm.WhichOneof("source") == "sft" for arm in self.spec.arms.values())

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
    walker = Walker()
    spec_fields = walker.message(tree, evaluation_pb2.EvaluationSpec.DESCRIPTOR, "")
    if walker.violations:
        raise _bad(path, walker.violations, walker.lines)
    spec = evaluation_pb2.EvaluationSpec()
    json_format.ParseDict(spec_fields, spec)
    folder = path.resolve().parent
    problems = list(resolve_files(spec, folder))
    if problems:
        raise _bad(path, problems, walker.lines)
    return Document(spec, folder, walker.lines)


def _load(text: str, path: Path) -> Any:
    tree = load_yaml(text, path)
    if tree is None:
        raise CandorError(Reason.BAD_DOCUMENT, f"{path}: the document is empty; it needs arms and baseline")
    if isinstance(tree, MutableMapping) and tree.get("gate") == "none":
        tree["gate"] = {"mode": "none"}
    if isinstance(tree, Mapping) and tree.get("kind") == KIND and isinstance(tree.get("spec"), MutableMapping):
        tree = tree["spec"]  # the custom resource's form of the same document
        for name in OPERATOR_FIELDS:
            tree.pop(name, None)  # in place: the marks of the lines stay
    return tree


def _bad(path: Path, violations: Sequence[FieldViolation], lines: Mapping[str, int]) -> CandorError:
    located = [FieldViolation(_with_line(item.field, lines), item.description) for item in violations]
    count = "1 field" if len(located) == 1 else f"{len(located)} fields"
    return invalid(f"{path}: {count} to mend", located, Reason.BAD_DOCUMENT)


def _with_line(field: str, lines: Mapping[str, int]) -> str:
    """`field (line 7)`; a field that is missing takes the line of its nearest parent."""
    candidate = _as_written(field, lines)
    while candidate:
        if candidate in lines:
            return f"{field} (line {lines[candidate]})"
        cut = max(candidate.rfind("."), candidate.rfind("["))
        candidate = candidate[:cut] if cut > 0 else ""
    return field


def _as_written(field: str, lines: Mapping[str, int]) -> str:
    for sent, written in _WRITTEN:
        head, found, _ = field.partition(f".sft.{sent}")
        source = f"{head}.sft.{written}"
        if found and source in lines:
            return source
    return field
