"""Values read from files that are replaced while we run: rotated certificates, tokens, lists of callers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from chassis.errors import CandorError, Reason
from chassis.logs import get_logger

Value = TypeVar("Value")
_Stamp = tuple[tuple[int, int, int], ...]
_TRIES = 3


class Watched(Generic[Value]):
    """A value made from files, and made again once a file is another than before. Safe between threads.

    Whoever rotates files replaces them one after the other, or as a whole under our hands (a mounted Secret); what was
    read while they changed is read again. A replacement that cannot be used leaves the old value in force and is logged.

    Args:
        paths: The files, in the order that `make` takes their contents.
        make: The value from the contents. Raises CandorError where they make no sense.

    Raises:
        CandorError: A file cannot be read, or `make` refused its contents.
    """

    def __init__(self, paths: Sequence[Path], make: Callable[..., Value]) -> None:
        self._paths = tuple(paths)
        self._make = make
        self._lock = threading.Lock()
        self._stamp, contents = self._read()
        self._value = make(*contents)
        self._version = 1

    def get(self) -> Value:
        """The value as the files have it now."""
        return self.versioned()[0]

    def versioned(self) -> tuple[Value, int]:
        """The value, and a number that grows when it changes."""
        with self._lock:
            try:
                self._refresh()
            except CandorError as error:
                get_logger("files").warning("a changed file cannot be used, the old one stays", error=error.message)
            return self._value, self._version

    def _refresh(self) -> None:
        if self._now() == self._stamp:
            return
        stamp, contents = self._read()
        self._stamp = stamp  # a bad replacement is told once, not at every call
        self._value = self._make(*contents)
        self._version += 1

    def _read(self) -> tuple[_Stamp, list[bytes]]:
        for _ in range(_TRIES):
            before = self._now()
            contents = [_content(path) for path in self._paths]
            if self._now() == before:
                break
        return before, contents

    def _now(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:  # between two files of a rotation there may be none
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CandorError(Reason.INVALID_REQUEST, f"{path}: {error.strerror}") from error
