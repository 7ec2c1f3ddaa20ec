"""A folder that one process at a time may use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from chassis.errors import CandorError, Reason

_LONGEST = 300


@contextlib.contextmanager
def exclusive(file: Path, busy: Callable[[str], str], reason: Reason) -> Iterator[None]:
    """Hold a file that stands for a folder; the lock is the system's and goes with the process, however it ends.

    Args:
        file: Made if it is missing, and its folders; it says who holds it.
        busy: The message when somebody else holds it, given `process 17 on host`.
        reason: Of that error.

    Raises:
        CandorError: `reason`, with `pid` in its metadata; OSError when the file cannot be opened.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            opened.seek(0)
            pid, _, host = opened.read(_LONGEST).strip().partition(" ")
            who = f"process {pid or 'unknown'}" + (f" on {host}" if host and host != socket.gethostname() else "")
            raise CandorError(reason, busy(who), metadata={"pid": pid or "unknown"}) from error
        opened.truncate(0)
        opened.write(f"{os.getpid()} {socket.gethostname()}")
        opened.flush()
        yield
