"""Conversation files as they lie: read in pieces, however large, or as they were uploaded."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.backends.datasets import Datasets
from services.orchestrator.domain.recipe import ConversationRef
from services.orchestrator.ports.making import OpenedFile

_CHUNK = 2**20
_FIELD = "conversations"


class LocalConversations:
    """Implements `ports.making.ConversationFiles`.

    Args:
        datasets: Knows which paths are allowed, and the uploaded files.
    """

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets

    def open(self, ref: ConversationRef) -> OpenedFile:
        """See ports. The bytes are read twice: what they are has to be known before they are worked on."""
        if ref.dataset:
            found = self._datasets.uploaded(ref.dataset)
            if found is None:
                raise _bad("dataset", "no file of this digest is here; upload it first")
            name, data = found
            pieces = (data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))
            return OpenedFile(PurePosixPath(name).name, ref.dataset, pieces)
        path = self._datasets.local(ref.path, f"{_FIELD}.path")
        if not stat.S_ISREG(path.stat().st_mode):
            raise _bad("path", f"{ref.path} is not a file; name a json or jsonl file")
        digest = hashlib.sha256()
        for piece in _pieces(path, ref.path):
            digest.update(piece)
        return OpenedFile(path.name, f"sha256:{digest.hexdigest()}", _pieces(path, ref.path))


def _pieces(path: Path, said: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece
    except OSError as error:
        raise _bad("path", f"{said} cannot be read ({error.strerror})") from error


def _bad(field: str, text: str) -> CandorError:
    problem = FieldViolation(f"{_FIELD}.{field}", text)
    return invalid("the conversations cannot be had", [problem], Reason.BAD_DATASET)
