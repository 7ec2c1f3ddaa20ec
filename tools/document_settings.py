"""Write docs/settings.md from the settings classes. Run: python tools/document_settings.py [--check]."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
SERVICES = {
    "rewriter": "services.rewriter.settings:RewriterSettings",
    "inference": "services.inference.settings:InferenceSettings",
    "grader": "services.grader.settings:GraderSettings",
    "trainer": "services.trainer.settings:TrainerSettings",
    "orchestrator": "services.orchestrator.settings:OrchestratorSettings",
    "operator": "candor_operator.settings:OperatorSettings",
}
_HEAD = """\
# Settings

Every service reads its settings from the environment when it starts, and refuses to start with a bad one, naming the variable.
Values that are lists or maps are JSON. This page is written by `python tools/document_settings.py`.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for service in SERVICES:
        parts.append(f"\n## {service}\n\n| variable | default | meaning |\n|---|---|---|\n")
        rows = variables(settings_class(service)).items()
        parts.extend(f"| `{name}` | {_default(field)} | {field.description} |\n" for name, field in rows)
    parts.append("\n## command line\n\n| variable | option | meaning |\n|---|---|---|\n")
    parts.extend(f"| `{name}` | `{option}` | {meaning} |\n" for name, (option, meaning) in options().items())
    return "".join(parts)


def options() -> dict[str, tuple[str, str]]:
    """Option and meaning of every variable that stands for an option of `candor`, by its name."""
    from typer.main import get_command

    from candor_cli.main import app

    found: dict[str, tuple[str, str]] = {}
    left = [get_command(app)]
    while left:
        command = left.pop(0)
        left.extend(getattr(command, "commands", {}).values())
        for each in command.params:
            if isinstance(each.envvar, str):
                found.setdefault(each.envvar, (each.opts[0], str(getattr(each, "help", ""))))
    return dict(sorted(found.items()))


def settings_class(service: str) -> type[BaseSettings]:
    """The class that reads a service's environment."""
    module, _, name = SERVICES[service].partition(":")
    found: type[BaseSettings] = getattr(importlib.import_module(module), name)
    return found


def variables(model: type[BaseModel], prefix: str | None = None) -> dict[str, FieldInfo]:
    """Every variable that a settings class reads."""
    prefix = str(model.model_config.get("env_prefix", "")) if prefix is None else prefix
    found = {}
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            found |= variables(nested, f"{variable}__")
        else:
            found[variable] = field
    return found


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
    if value is PydanticUndefined:
        return "required"
    if value in (None, "", (), [], {}) or value != field.get_default(call_default_factory=True):
        return ""  # none, or one that is drawn anew each time
    text = json.dumps(value) if isinstance(value, tuple | list | dict) else value
    return f"`{text}`"


def main() -> None:
    """Parse the command line, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when the page is stale")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/settings.md is stale, run python tools/document_settings.py")


if __name__ == "__main__":
    main()
