"""`python -m candor_operator`: follow evaluations until SIGTERM; settings come from CANDOR_OPERATOR_* variables."""

from __future__ import annotations

import asyncio
import logging
import sys

import kopf

from candor_operator.operator import operate
from candor_operator.settings import OperatorSettings
from chassis.errors import CandorError, ExitCode
from chassis.process import read_settings


def main() -> int:
    """Returns the exit code: 78 for bad settings."""
    settings = read_settings(OperatorSettings)
    if settings is None:
        return ExitCode.BAD_DOCUMENT
    kopf.configure(
        verbose=settings.log_level == "DEBUG",
        quiet=settings.log_level in ("WARNING", "ERROR"),
        log_format=kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.FULL,
    )
    if settings.log_level != "DEBUG":  # each step of each resource, each probe
        for chatty in ("kopf.objects", "kopf.activities.probe", "aiohttp.access"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        asyncio.run(operate(settings))
    except CandorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())
