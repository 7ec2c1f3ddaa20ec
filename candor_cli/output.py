"""Standard output whose reader goes away, as in `candor ... | head`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """What the block prints may go to nobody: whoever stopped reading does not change how the command ends."""
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich turns the one into the other
        drop_output()


def drop_output() -> None:
    """What is still buffered, and what comes, goes nowhere, so that closing cannot fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(io.UnsupportedOperation):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
