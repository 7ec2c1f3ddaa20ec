"""No released field, method or type disappears or changes its meaning on the wire."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[3]
BASELINE = ROOT / "protos" / "baseline.binpb"


def messages(files: FileDescriptorSet) -> dict[str, DescriptorProto]:
    found: dict[str, DescriptorProto] = {}

    def visit(prefix: str, message: DescriptorProto) -> None:
        name = f"{prefix}.{message.name}"
        found[name] = message
        for nested in message.nested_type:
            visit(name, nested)

    for file in files.file:
        if file.package.startswith("candor."):
            for message in file.message_type:
                visit(file.package, message)
    return found


def methods(files: FileDescriptorSet) -> dict[str, tuple[str, str, bool, bool]]:
    return {
        f"{file.package}.{service.name}/{method.name}": (
            method.input_type,
            method.output_type,
            method.client_streaming,
            method.server_streaming,
        )
        for file in files.file
        for service in file.service
        for method in service.method
    }


def shape(field: FieldDescriptorProto) -> tuple[object, ...]:
    return field.name, field.type, field.type_name, field.label, field.proto3_optional


def breaks(old: FileDescriptorSet, new: FileDescriptorSet) -> list[str]:
    """What a caller built with `old` would trip over at a server built with `new`."""
    found = []
    after = messages(new)
    for name, before in messages(old).items():
        if name not in after:
            found.append(f"{name} is gone")
            continue
        now = {field.number: field for field in after[name].field}
        reserved = [range(span.start, span.end) for span in after[name].reserved_range]
        for field in before.field:
            if field.number not in now:
                if not any(field.number in span for span in reserved):
                    found.append(f"{name}.{field.name} is gone and its number {field.number} not reserved")
            elif shape(field) != shape(now[field.number]):
                found.append(f"{name}.{field.name} changed")
    later = methods(new)
    for name, signature in methods(old).items():
        if name not in later:
            found.append(f"{name} is gone")
        elif later[name] != signature:
            found.append(f"{name} changed")
    return found


@pytest.fixture(scope="module")
def baseline() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(BASELINE.read_bytes())


def test_protos_are_compatible_with_the_baseline(baseline: FileDescriptorSet, tmp_path: Path) -> None:
    out = tmp_path / "now.binpb"
    subprocess.run(
        [sys.executable, "tools/generate_protos.py", "--descriptors", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    assert breaks(baseline, FileDescriptorSet.FromString(out.read_bytes())) == []


@pytest.mark.parametrize(
    "change", ["removed message", "removed field", "renumbered", "retyped", "removed method", "unary"]
)
def test_each_kind_of_break_is_found(baseline: FileDescriptorSet, change: str) -> None:
    new = copy.deepcopy(baseline)
    file = next(file for file in new.file if file.package == "candor.grader.v1")
    message = next(message for message in file.message_type if message.name == "AnswerCase")
    if change == "removed message":
        file.message_type.remove(message)
    elif change == "removed field":
        del message.field[0]
    elif change == "renumbered":
        message.field[0].number = 77
    elif change == "retyped":
        message.field[0].type = FieldDescriptorProto.TYPE_BYTES
    elif change == "removed method":
        del file.service[0].method[0]
    else:
        file.service[0].method[0].server_streaming = False
    assert breaks(baseline, new)


def test_an_added_field_is_no_break(baseline: FileDescriptorSet) -> None:
    new = copy.deepcopy(baseline)
    file = next(file for file in new.file if file.package == "candor.grader.v1")
    file.message_type[0].field.add(name="more", number=999, type=FieldDescriptorProto.TYPE_STRING)
    assert breaks(baseline, new) == []
