"""The files that a document refers to: paths are made absolute, prompts and styles are read into the spec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from candor.common.v1 import model_pb2
from candor.orchestrator.v1 import evaluation_pb2
from candor.rewriter.v1 import rewriter_pb2
from google.protobuf import json_format

from candor_cli.yaml_walk import Walker, load_yaml
from chassis.errors import CandorError, FieldViolation

_MAX_TEXT_BYTES = 1 * 2**20


def resolve_files(spec: evaluation_pb2.EvaluationSpec, folder: Path) -> Iterator[FieldViolation]:
    """Resolve every path of `spec` against `folder`, in place; yields what is wrong with them."""
    yield from _tasks(spec, folder)
    for name, arm in spec.arms.items():
        source = arm.WhichOneof("source")
        if source == "checkpoint":
            _checkpoint(arm.checkpoint, folder)
        elif source == "sft":
            yield from _recipe(arm.sft, folder, f"arms.{name}.sft")
        if arm.system_prompt.WhichOneof("source") == "file":
            yield from _prompt(arm.system_prompt, folder, f"arms.{name}.system_prompt.file")
    if spec.warmth.model:
        local = _absolute(spec.warmth.model, folder)
        if local.is_dir():
            spec.warmth.model = str(local)


def _tasks(spec: evaluation_pb2.EvaluationSpec, folder: Path) -> Iterator[FieldViolation]:
    for index, task in enumerate(spec.tasks):
        if task.path:
            path = _absolute(task.path, folder)
            task.path = str(path)
            if not path.exists():
                yield FieldViolation(f"tasks[{index}].path", f"{path} does not exist")
            elif not task.name:
                task.name = path.stem


def _absolute(text: str, folder: Path) -> Path:
    return (folder / Path(text).expanduser()).absolute()


def _checkpoint(checkpoint: model_pb2.Checkpoint, folder: Path) -> None:
    for field in ("path", "adapter"):
        if getattr(checkpoint, field):
            setattr(checkpoint, field, str(_absolute(getattr(checkpoint, field), folder)))


def _recipe(sft: evaluation_pb2.SftRecipe, folder: Path, where: str) -> Iterator[FieldViolation]:
    if sft.conversations.path:
        path = _absolute(sft.conversations.path, folder)
        sft.conversations.path = str(path)
        if not path.is_file():
            what = "is a folder; name a file" if path.is_dir() else "does not exist"
            yield FieldViolation(f"{where}.conversations.path", f"{path} {what}")
    if sft.style_file:
        yield from _style(sft, folder, f"{where}.style_file")


def _style(sft: evaluation_pb2.SftRecipe, folder: Path, where: str) -> Iterator[FieldViolation]:
    """Read the style file into `style_definition`; its name is the file's where it gives none."""
    other = "style" if sft.style else "style_definition" if sft.HasField("style_definition") else ""
    if other:
        yield FieldViolation(where, f"cannot stand beside {other}; give one of them")
        return
    path = _absolute(sft.style_file, folder)
    text = _read(path)
    if isinstance(text, FieldViolation):
        yield FieldViolation(where, text.description)
        return
    try:
        tree = load_yaml(text, path)
    except CandorError as error:
        yield FieldViolation(where, error.message)
        return
    walker = Walker()
    fields = walker.message(tree, rewriter_pb2.StyleDefinition.DESCRIPTOR, "")
    for violation in walker.violations:
        line = f" line {walker.lines[violation.field]}" if violation.field in walker.lines else ""
        yield FieldViolation(where, f"{path}{line}: {violation.field} {violation.description}")
    if not walker.violations:
        json_format.ParseDict({"name": path.stem, **fields}, sft.style_definition)
        sft.style_file = ""


def _prompt(prompt: model_pb2.SystemPrompt, folder: Path, where: str) -> Iterator[FieldViolation]:
    text = _read(_absolute(prompt.file, folder))
    if isinstance(text, FieldViolation):
        yield FieldViolation(where, text.description)
        return
    prompt.text = text.strip()


def _read(path: Path) -> str | FieldViolation:
    """The text of a file, or what is wrong with it."""
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            return FieldViolation("", f"{path} is larger than {_MAX_TEXT_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        return FieldViolation("", f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        return FieldViolation("", f"{path} is not UTF-8")
