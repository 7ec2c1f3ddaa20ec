"""One command at a time on one state folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from chassis.errors import Reason
from chassis.lock import exclusive
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

    def busy(who: str) -> str:
        return f"{folder} is in use by another command ({who}); wait for it, or take another --state"

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / _NAME, busy, Reason.LEDGER_LOCKED))
        except OSError as error:
            raise storage_error(error, f"{folder} cannot be used", full=Reason.LEDGER_FULL) from error
        yield
