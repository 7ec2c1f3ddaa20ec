"""Base models and data sets in local folders, and digests over their content."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from chassis.egress import Guard
from chassis.errors import CandorError, Reason

_MODEL_FILES = ("*.json", "*.jinja", "*.model", "*.safetensors")
_CHUNK = 4 * 2**20


class FileSources:
    """`Sources` on disk.

    Args:
        guard: Which folders may be opened.
        root: Where relative paths start.
    """

    def __init__(self, guard: Guard, root: Path) -> None:
        self._guard = guard
        self._root = root.absolute()
        self._known: dict[tuple[str, int, int], str] = {}

    async def base(self, path: str) -> tuple[str, str]:
        """See the port."""
        folder = self._guard.check_path(path, "spec.base.path")
        return str(folder), await asyncio.to_thread(self._folder_digest, folder)

    async def dataset(self, path: str, digest: str) -> str:
        """See the port."""
        file = self._guard.check_inside(self._root / path, "spec.dataset")
        if not file.is_file():
            raise CandorError(Reason.DATASET_NOT_FOUND, f"spec.dataset: there is no file {path}")
        found = await asyncio.to_thread(self._digest, file)
        if "sha256:" + found != digest:
            message = (
                "spec.dataset_digest: the file has other content than the digest says; give the digest of this file"
            )
            raise CandorError(Reason.BAD_TRAINING_DATA, message)
        return str(file)

    def _folder_digest(self, folder: Path) -> str:
        files = sorted({file for pattern in _MODEL_FILES for file in folder.glob(pattern) if file.is_file()})
        if not any(file.suffix == ".safetensors" for file in files) or not (folder / "config.json").is_file():
            message = (
                f"spec.base.path: {folder.name} is no model folder: config.json and safetensors weights are needed"
            )
            raise CandorError(Reason.BAD_CHECKPOINT, message)
        whole = hashlib.sha256()
        for file in files:
            whole.update(f"{file.name}\0{self._digest(file)}\0".encode())
        return "sha256:" + whole.hexdigest()

    def _digest(self, file: Path) -> str:
        """Of a file's content; read once while its size and time of change stay."""
        status = file.stat()
        key = (str(file), status.st_size, status.st_mtime_ns)
        if key not in self._known:
            whole = hashlib.sha256()
            with file.open("rb") as opened:
                while chunk := opened.read(_CHUNK):
                    whole.update(chunk)
            self._known[key] = whole.hexdigest()
        return self._known[key]
