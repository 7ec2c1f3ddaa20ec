"""One trainer works under an artifact root: two would take up each other's jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from chassis.errors import CandorError, Reason
from chassis.lock import exclusive

_SETTING = "CANDOR_TRAINER_ARTIFACTS"


@contextlib.contextmanager
def owning(root: Path) -> Iterator[None]:
    """Hold the root's folder of jobs; the lock goes with the process, however it ends.

    Args:
        root: The artifact root; made if it is missing.

    Raises:
        CandorError: ARTIFACTS_LOCKED naming the process that holds it; INVALID_REQUEST when the root cannot be written.
    """

    def busy(who: str) -> str:
        return f"{_SETTING}: another trainer ({who}) works under {root}; stop that one, or give this one another root"

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(root / "training" / "lock", busy, Reason.ARTIFACTS_LOCKED))
        except OSError as error:
            raise CandorError(Reason.INVALID_REQUEST, f"{_SETTING}: {root} cannot be used: {error.strerror}") from error
        yield
