"""Write the Evaluation custom resource's definition from the protos. Run: python tools/generate_crd.py [--check].

Fields and their comments come from the protos; bounds, rules and the operator's own fields from `tools/crd`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from ruamel.yaml import YAML

from chassis.custom_resource import GROUP, KIND, OPERATOR_FIELDS, PLURAL, VERSION

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.crd import bounds, operator_fields  # noqa: E402
from tools.crd.rules import RULES  # noqa: E402
from tools.generate_protos import run  # noqa: E402

PAGE = ROOT / "deploy" / "k8s" / "crd" / "evaluations.yaml"
_HEAD = "# Written by python tools/generate_crd.py from protos/candor/orchestrator/v1/evaluation.proto.\n"
_DOCUMENT = ".candor.orchestrator.v1.EvaluationSpec"
_FIELD = descriptor_pb2.FieldDescriptorProto
_FORMATS: dict[int, dict[str, Any]] = {
    _FIELD.TYPE_INT32: {"type": "integer", "format": "int32"},
    _FIELD.TYPE_INT64: {"type": "integer", "format": "int64"},
    _FIELD.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _FIELD.TYPE_BOOL: {"type": "boolean"},
    _FIELD.TYPE_STRING: {"type": "string"},
}
# Path elements of source locations: DescriptorProto.field and nested_type; FileDescriptorProto.message_type is 4.
_MESSAGE_FIELD, _NESTED = 2, 3

Schema = dict[str, Any]


class Messages:
    """The messages of the protos by full name, and the comments on them and their fields."""

    def __init__(self, files: descriptor_pb2.FileDescriptorSet) -> None:
        self.by_name: dict[str, descriptor_pb2.DescriptorProto] = {}
        self.comments: dict[tuple[str, str], str] = {}
        self.purposes: dict[str, str] = {}
        for file in files.file:
            names: dict[tuple[int, ...], str] = {}
            for index, message in enumerate(file.message_type):
                self._add(message, f".{file.package}.{message.name}", (4, index), names)
            for location in file.source_code_info.location:
                path = tuple(location.path)
                if path in names:
                    self.purposes[names[path]] = " ".join(location.leading_comments.split())
                if len(path) >= 4 and path[-2] == _MESSAGE_FIELD and path[:-2] in names:
                    owner = names[path[:-2]]
                    field = self.by_name[owner].field[path[-1]].name
                    self.comments[owner, field] = " ".join(location.leading_comments.split())

    def _add(
        self,
        message: descriptor_pb2.DescriptorProto,
        name: str,
        path: tuple[int, ...],
        names: dict[tuple[int, ...], str],
    ) -> None:
        self.by_name[name] = message
        names[path] = name
        for index, nested in enumerate(message.nested_type):
            self._add(nested, f"{name}.{nested.name}", (*path, _NESTED, index), names)

    def schema(self, name: str) -> Schema:
        """The structural schema of a message."""
        message = self.by_name[name]
        found: Schema = {"type": "object"}
        if message.name in bounds.REQUIRED:
            found["required"] = bounds.REQUIRED[message.name]
        found["properties"] = {field.name: self._field(name, field) for field in message.field}
        if message.name in RULES:
            found["x-kubernetes-validations"] = RULES[message.name]
        return found

    def _field(self, owner: str, field: descriptor_pb2.FieldDescriptorProto) -> Schema:
        key = f"{self.by_name[owner].name}.{field.name}"
        comment = self.comments.get((owner, field.name)) or self.purposes.get(field.type_name)
        described: Schema = {"description": comment} if comment else {}
        nested = self.by_name.get(field.type_name)
        if nested is not None and nested.options.map_entry:
            counts = bounds.COUNTS.get(key, {"maxProperties": bounds.MOST})
            return described | {
                "type": "object",
                **counts,
                "additionalProperties": self._single(key, nested.field[1]),
            }
        if field.label == _FIELD.LABEL_REPEATED:
            counts = bounds.COUNTS.get(key, {"maxItems": bounds.MOST})
            return described | {"type": "array", **counts, "items": self._single(key, field)}
        return described | self._single(key, field)

    def _single(self, key: str, field: descriptor_pb2.FieldDescriptorProto) -> Schema:
        if field.type == _FIELD.TYPE_MESSAGE:
            return self.schema(field.type_name)
        found = _FORMATS[field.type] | bounds.BOUNDS.get(key, {})
        if field.type == _FIELD.TYPE_STRING and not {"maxLength", "enum"} & set(found):
            found["maxLength"] = bounds.TEXT
        return found


def definition() -> Schema:
    """The custom resource's definition."""
    document = _messages().schema(_DOCUMENT)
    assert tuple(operator_fields.SPEC) == OPERATOR_FIELDS
    assert not set(OPERATOR_FIELDS) & set(document["properties"])
    document["description"] = "The evaluation document, and when the operator runs it."
    document["properties"] |= operator_fields.SPEC
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": operator_fields.COLUMNS,
        "schema": {
            "openAPIV3Schema": {
                "description": "A sycophancy regression test: is a candidate model more sycophantic than its baseline?",
                "type": "object",
                "required": ["spec"],
                "properties": {"spec": document, "status": operator_fields.STATUS},
            }
        },
    }
    names = {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower(), "shortNames": ["evl"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "candor"}},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _messages() -> Messages:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "descriptors.binpb"
        run([f"--descriptor_set_out={target}", "--include_imports", "--include_source_info"])
        return Messages(descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()))


def page() -> str:
    """The definition as YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # fields stay in the order of the protos
    yaml.representer.ignore_aliases = lambda _data: True
    text = StringIO()
    yaml.dump(definition(), text)
    return _HEAD + text.getvalue()


def main() -> None:
    """Parse the command line, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when the committed definition is stale")
    text = page()
    if not parser.parse_args().check:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.relative_to(ROOT)} is stale, run python tools/generate_crd.py")


if __name__ == "__main__":
    main()
