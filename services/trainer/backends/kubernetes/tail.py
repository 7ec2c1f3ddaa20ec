"""The reports of a job's workers, read from the file that they write into its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from services.trainer.backends.process.channel import REPORTS


class Tail:
    """Reads whole lines, each once.

    Args:
        folder: The job's.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / REPORTS
        self._offset = 0

    @property
    def begun(self) -> bool:
        """Whether a Job was made to write here."""
        return self._file.exists()

    @property
    def finished(self) -> bool:
        """Whether the training has come to its end."""
        return self.begun and any(_ends(line) for line in self._file.read_bytes().splitlines())

    def begin(self) -> None:
        """Make room for the reports of a new Job."""
        self._file.write_bytes(b"")
        self._offset = 0

    def forget(self) -> None:
        """Remove what was reported."""
        self._file.unlink(missing_ok=True)

    def read(self) -> Iterator[bytes]:
        """Lines that have come since the last time.

        The file is opened anew each time: on a network file system that is when another machine's writes appear.
        """
        with self._file.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            self._offset += len(line)
            if _whole(line):
                yield line


def _whole(line: bytes) -> bool:
    """Whether a crash did not cut it off."""
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


def _ends(line: bytes) -> bool:
    return _whole(line) and json.loads(line) == {"kind": "ended", "finished": True}
