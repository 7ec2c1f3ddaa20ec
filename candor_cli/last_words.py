"""How a command ended, left in a file: `kubectl describe pod` shows what lies in a container's termination message."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from candor_cli.stopping import Terminated
from candor_cli.view.text import printable
from chassis.errors import CandorError

_MOST_BYTES = 4096  # the kubelet reads no more


def leave(file: Path | None, text: str) -> None:
    """Write how it ended; a file that cannot be written is said and changes nothing."""
    if file is None:
        return
    try:
        whole_characters = printable(text).encode()[:_MOST_BYTES].decode(errors="ignore")
        file.write_text(whole_characters, encoding="utf-8")
    except OSError as error:
        print(f"candor: {file}: {error.strerror}; how it ended is only here", file=sys.stderr)


@contextlib.contextmanager
def leaving(file: Path | None) -> Iterator[None]:
    """Leave the error that ends the block, or that it was told to stop; it goes on to the caller."""
    try:
        yield
    except CandorError as error:
        leave(file, f"{error.reason}: {error}")
        raise
    except KeyboardInterrupt as stop:
        leave(file, "told to go (SIGTERM)" if isinstance(stop, Terminated) else "stopped")
        raise
