"""How a command is told to stop: by a person (Ctrl-C), or by whatever runs it (SIGTERM), as when its pod is moved."""

from __future__ import annotations

import signal
from types import FrameType

from chassis.errors import ExitCode


class Terminated(KeyboardInterrupt):
    """SIGTERM: nobody changed their mind about the work, so running the same command again is right."""


def exit_code(stop: BaseException) -> ExitCode:
    """130 where a person stopped the command, which nothing should start again; 75 where it was told to go."""
    told_to_go = isinstance(stop, Terminated) or isinstance(stop.__cause__, Terminated)  # typer wraps it
    return ExitCode.TEMPORARY if told_to_go else ExitCode.CANCELLED


def heed_sigterm() -> None:
    """Until a command handles SIGTERM itself: the first process of a container would not hear it at all otherwise."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
