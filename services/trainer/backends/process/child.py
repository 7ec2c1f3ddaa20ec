"""A child process that tells what it does on standard output and is told to stop by closing its standard input."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_TAIL_BYTES = 8192
_TAIL_LINES = 4


async def start(arguments: Sequence[str], log: IO[bytes]) -> asyncio.subprocess.Process:
    """Start this Python with these arguments; its standard error goes to the log."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
        start_new_session=True,  # an interrupt at the terminal is the server's to handle
    )


def kill(process: asyncio.subprocess.Process) -> None:
    """End the process and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def reap(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of it behind."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        kill(process)
    await process.wait()


def last_words(log: Path) -> str:
    """What the end of a log says, without the frames of a traceback."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return ending(lines)


def ending(lines: Sequence[str]) -> str:
    """What the last lines of a log say, without the frames of a traceback."""
    told = [line.strip()[:300] for line in lines if line.strip() and not line.startswith((" ", "Traceback"))]
    return " / ".join(told[-_TAIL_LINES:]) or "nothing"
