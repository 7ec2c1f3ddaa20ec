"""Selections and datasets on any file system that fsspec knows, beside the report files."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path

import fsspec

from services.orchestrator.backends.artifacts_files import artifact_errors

_SAFE = re.compile(r"[a-z]+/[A-Za-z0-9]+")


class FileMaterials:
    """Implements `ports.making.Materials` under one URL.

    A folder is written under another name and takes its own when the last file is complete, so a folder that is there is
    whole. A store without renaming copies; there the card, which is written last, says so.
    """

    def __init__(self, url: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(url)
        self._local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))
        self._root = root.rstrip("/")

    def has(self, folder: str, *names: str) -> bool:
        """See ports."""
        with artifact_errors():
            self._fs.invalidate_cache()
            return all(self._fs.exists(f"{self._home(folder)}/{name}") for name in ("card.json", *names))

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        """See ports."""
        if self.has(folder, *files):
            return
        home = self._home(folder)
        fresh = f"{self._root}/.incoming-{uuid.uuid4().hex}"
        with artifact_errors():
            try:
                self._fs.makedirs(fresh, exist_ok=True)
                for name, body in sorted(files.items(), key=lambda file: file[0] == "card.json"):
                    with self._fs.open(f"{fresh}/{name}", "wb") as file:
                        file.write(body)
                self._fs.makedirs(home.rpartition("/")[0], exist_ok=True)
                if self._fs.exists(home):
                    self._fs.rm(home, recursive=True)  # a part of it: left by a store that copies, or by a person
                self._fs.mv(fresh, home, recursive=True)
            finally:
                if self._fs.exists(fresh):
                    self._fs.rm(fresh, recursive=True)

    def read(self, folder: str, name: str) -> bytes:
        """See ports."""
        with artifact_errors(), self._fs.open(f"{self._home(folder)}/{name}", "rb") as file:
            data: bytes = file.read()
        return data

    def location(self, folder: str, name: str) -> str:
        """See ports."""
        path = f"{self._home(folder)}/{name}"
        return str(Path(path).resolve()) if self._local else str(self._fs.unstrip_protocol(path))

    def _home(self, folder: str) -> str:
        assert _SAFE.fullmatch(folder), "a kind and a digest"
        return f"{self._root}/{folder}"
