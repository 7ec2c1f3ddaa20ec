"""One command at a time on one state folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from chassis.errors import CandorError, Reason
from chassis.storage import storage_error

_NAME = "lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the lock goes with the process, however it ends.

    Args:
        folder: The state folder; made if it is missing.

    Raises:
        CandorError: LEDGER_LOCKED naming the process that holds it; LEDGER_FULL, STORAGE_UNUSABLE when the folder
            cannot be written.
    """
    path = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise storage_error(error, f"{folder} cannot be used", full=Reason.LEDGER_FULL) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read(32).strip() or "unknown"
            message = f"{folder} is in use by another command (process {holder}); wait for it, or take another --state"
            raise CandorError(Reason.LEDGER_LOCKED, message, metadata={"pid": holder}) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
