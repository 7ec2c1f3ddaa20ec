"""Report files on any file system that fsspec knows: a local folder, s3://, gs://, a mounted volume."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import fsspec

from chassis.errors import FieldViolation, invalid
from chassis.storage import storage_error
from services.orchestrator.ports import FileBody

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class FileArtifacts:
    """Implements `ports.Artifacts` under one URL.

    Files are written into a fresh folder, which takes the evaluation's name when the last of them is complete. A store
    without renaming copies, so there a reader may see a part of the files for a moment; the state of the evaluation, which
    is written afterwards, is what says that they are complete.
    """

    def __init__(self, url: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")

    def write(self, evaluation_id: str, files: Mapping[str, FileBody]) -> None:
        """See ports."""
        home = self._home(evaluation_id)
        fresh = f"{self._root}/.incoming-{uuid.uuid4().hex}"
        with artifact_errors():
            try:
                for name, body in files.items():
                    self._put(f"{fresh}/{_relative(name)}", body)
                if self._fs.exists(home):
                    self._fs.rm(home, recursive=True)
                self._fs.mv(fresh, home, recursive=True)
            finally:
                if self._fs.exists(fresh):
                    self._fs.rm(fresh, recursive=True)

    def names(self, evaluation_id: str) -> list[str]:
        """See ports."""
        home = self._home(evaluation_id)
        with artifact_errors():
            self._fs.invalidate_cache()
            found = self._fs.find(home) if self._fs.exists(home) else []
        start = len(self._fs._strip_protocol(home)) + 1  # noqa: SLF001 (fsspec's own way to compare paths)
        return sorted(path[start:] for path in found)

    def read(self, evaluation_id: str, name: str, chunk_bytes: int) -> Iterator[bytes]:
        """See ports."""
        if name not in self.names(evaluation_id):
            raise invalid("no such file", [FieldViolation("files", f"{name!r} is not a file of this evaluation")])
        return self._pieces(f"{self._home(evaluation_id)}/{name}", chunk_bytes)

    def delete(self, evaluation_id: str) -> None:
        """See ports."""
        home = self._home(evaluation_id)
        with artifact_errors():
            if self._fs.exists(home):
                self._fs.rm(home, recursive=True)

    def _pieces(self, path: str, chunk_bytes: int) -> Iterator[bytes]:
        with artifact_errors(), self._fs.open(path, "rb") as file:
            while piece := file.read(chunk_bytes):
                yield piece

    def _put(self, path: str, body: FileBody) -> None:
        self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        with self._fs.open(path, "wb") as file:
            if isinstance(body, bytes):
                file.write(body)
            else:
                body(file)

    def _home(self, evaluation_id: str) -> str:
        assert _SAFE.fullmatch(evaluation_id), "ids are ours: letters, digits, `-`, `_`, `.`"
        return f"{self._root}/{evaluation_id}"


def _relative(name: str) -> str:
    parts = PurePosixPath(name).parts
    assert parts
    assert not name.startswith("/")
    assert ".." not in parts
    return name


@contextlib.contextmanager
def artifact_errors() -> Iterator[Any]:
    """Turn what the store cannot do into a CandorError: DISK_FULL or STORAGE_UNUSABLE."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise storage_error(error, f"the artifacts cannot be used{where}") from error
