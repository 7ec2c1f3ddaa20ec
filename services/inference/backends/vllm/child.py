"""The engine's process: in a session of its own, ended with us whatever ends us, its last words kept."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from chassis.text import plain, without_secrets

_KEEPER = Path(__file__).with_name("keeper.py")
_LINES = 400
_PREFIX = re.compile(r"^(?:\([-\w ]+pid=\d+\) )?(?:[A-Z]+ [\d-]+ [\d:]+ \[[^\]]+\] )?")
_CAUSE = re.compile(r"^[\w.]*(?:Error|Exception): \S.*")
_GENERIC = re.compile(r"(?i)root cause|stack trace|engine core|enginecore")


class Child:
    """A running command. Make it with `start`."""

    def __init__(self, process: asyncio.subprocess.Process, grace_seconds: float) -> None:
        self._process = process
        self._grace = grace_seconds
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str], grace_seconds: float) -> Child:
        """Start a command under the keeper; it gets `grace_seconds` between being asked to end and being killed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(_KEEPER), str(grace_seconds), *command),
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process, grace_seconds)

    @property
    def pid(self) -> int:
        """The keeper's, which is also the process group's."""
        return self._process.pid

    async def ended(self) -> None:
        """Return once the process is gone."""
        await self._process.wait()

    async def stop(self) -> None:
        """End it and everything it started."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace + 5):
                await self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.wait([self._reading], timeout=5)
        self._reading.cancel()

    def why(self) -> str:
        """What its log says about its end: the first error that names a cause, else its last line."""
        lines = [_PREFIX.sub("", line) for line in self._lines]
        causes = [line for line in lines if _CAUSE.match(line)]
        named = next((line for line in causes if not _GENERIC.search(line)), causes[-1] if causes else "")
        last = next(
            (line for line in reversed(lines) if line.strip() and "process ended" not in line), "nothing was said"
        )
        return plain(without_secrets(named or last))

    def tail(self, lines: int = 15) -> list[str]:
        """The last lines of its log."""
        return [plain(without_secrets(line)) for line in list(self._lines)[-lines:]]

    async def _read(self) -> None:
        assert self._process.stdout is not None, "it is piped"
        rest = b""
        while block := await self._process.stdout.read(65_536):
            *lines, rest = (rest + block).split(b"\n")
            rest = rest[-65_536:]
            self._lines.extend(line.decode(errors="replace") for line in lines)
        self._lines.append(rest.decode(errors="replace"))
