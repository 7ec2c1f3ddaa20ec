"""A service as a process of its own: settings from the environment, logs, serve until told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from chassis.collection import collect_rarely
from chassis.errors import CandorError, ExitCode
from chassis.logs import configure
from chassis.serving import Service, serve_until_signal
from chassis.settings import ServerSettings

Read = TypeVar("Read", bound=BaseSettings)
Settings = TypeVar("Settings", bound=ServerSettings)


def read_settings(settings_type: type[Read]) -> Read | None:
    """The settings in the environment; None when they are bad, each of them named by its variable on standard error."""
    prefix = str(settings_type.model_config.get("env_prefix", ""))
    try:
        return settings_type()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = prefix + "__".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name.rstrip('_')}: {problem['msg']}\n")
    except SettingsError as error:
        sys.stderr.write(f'{_unread(error, prefix)}: must be JSON, for example ["host:8000"] or {{"name": "value"}}\n')
    return None


def run_service(settings_type: type[Settings], build: Callable[[Settings], Service]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code (78 for bad settings, each named by its variable)."""
    settings = read_settings(settings_type)
    if settings is None:
        return ExitCode.BAD_DOCUMENT
    configure(settings.log_format, settings.log_level)
    collect_rarely()

    async def main() -> None:
        # Built on the loop that serves: gRPC channels belong to the loop they are opened on.
        await serve_until_signal(build(settings), settings)

    try:
        asyncio.run(main())
    except CandorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return ExitCode.PASS


def _unread(error: SettingsError, prefix: str) -> str:
    """The variable of a list or a map that is no JSON; the value itself may be a secret and is not shown."""
    value = error.__cause__.doc if isinstance(error.__cause__, json.JSONDecodeError) else None
    names = [name for name, text in os.environ.items() if name.upper().startswith(prefix) and text == value]
    return " or ".join(names) or f"a variable {prefix}... ({error})"
