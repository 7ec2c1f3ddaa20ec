"""Uploads in and reports out, in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import PurePosixPath

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.service.world import World, blocking

MOST_BYTES = 256 * 2**20
CHUNK_BYTES = 2**20
_FORMATS = (".csv", ".json", ".jsonl", ".parquet")
_DIGEST_LENGTH = len("sha256:") + 64


class Upload:
    """One file as it arrives.

    Raises (constructor):
        CandorError: INVALID_REQUEST naming every bad field; DATASET_TOO_LARGE.
    """

    def __init__(self, digest: str, filename: str, size_bytes: int) -> None:
        problems = []
        if not digest.startswith("sha256:") or len(digest) != _DIGEST_LENGTH:
            problems.append(FieldViolation("info.digest", "must be sha256: and 64 hexadecimal digits of the bytes"))
        suffix = PurePosixPath(filename).suffix.lower()
        if suffix not in _FORMATS:
            problems.append(FieldViolation("info.filename", f"ends in {suffix!r}; use one of {', '.join(_FORMATS)}"))
        if len(filename) > 256 or "/" in filename or "\x00" in filename:
            problems.append(FieldViolation("info.filename", "must be a plain file name of at most 256 characters"))
        if size_bytes < 0:
            problems.append(FieldViolation("info.size_bytes", "must not be negative"))
        if problems:
            raise invalid("the upload cannot begin", problems)
        self._digest = digest.lower()
        self._filename = filename
        self._size = size_bytes
        self._body = bytearray()
        _check_total(size_bytes)

    def add(self, chunk: bytes) -> None:
        """The next piece. Raises CandorError INVALID_REQUEST, DATASET_TOO_LARGE."""
        if len(chunk) > CHUNK_BYTES:
            problem = FieldViolation("chunk", f"has {len(chunk):,} bytes; at most {CHUNK_BYTES:,} are taken at once")
            raise invalid("a chunk is too large", [problem])
        _check_total(len(self._body) + len(chunk))
        self._body += chunk

    async def store(self, world: World) -> tuple[str, bool]:
        """Keep the file; its digest, and whether it is new. Raises CandorError INVALID_REQUEST (digest, size)."""
        found = await blocking(lambda: "sha256:" + hashlib.sha256(self._body).hexdigest())
        if found != self._digest:
            problem = FieldViolation(
                "info.digest", f"is {self._digest}, but the {len(self._body):,} bytes have {found}"
            )
            raise invalid("the upload was damaged or cut", [problem])
        if self._size and self._size != len(self._body):
            problem = FieldViolation("info.size_bytes", f"is {self._size:,}, but {len(self._body):,} bytes came")
            raise invalid("the upload was damaged or cut", [problem])
        stored = await blocking(world.ledger.put_dataset, found, self._filename, bytes(self._body))
        return found, stored


def _check_total(size: int) -> None:
    if size > MOST_BYTES:
        message = f"the file is larger than {MOST_BYTES // 2**20} MiB; split it, or give a path or hub id on the server"
        raise CandorError(Reason.DATASET_TOO_LARGE, message)


async def report_chunks(world: World, evaluation_id: str, wanted: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
    """(file, piece) of the files of a finished evaluation; an empty file is one empty piece.

    Raises:
        CandorError: EVALUATION_NOT_FOUND (its files are gone, too), EVALUATION_UNFINISHED, INVALID_REQUEST (no such file).
    """
    row = await blocking(world.ledger.evaluation, evaluation_id)
    if row.state != "SUCCEEDED":
        raise CandorError(
            Reason.EVALUATION_UNFINISHED, f"evaluation {evaluation_id} is {row.state}: it has no report yet"
        )
    names = await blocking(world.artifacts.names, evaluation_id)
    if not names:
        message = (
            f"the report files of evaluation {evaluation_id} are gone from the artifacts (folder {evaluation_id}); evaluate "
            "its document again under another name: nothing is asked again, and the report is written anew"
        )
        raise CandorError(Reason.EVALUATION_NOT_FOUND, message)
    strangers = [
        FieldViolation(f"files[{index}]", f"{name!r} is not one of {', '.join(names)}")
        for index, name in enumerate(wanted)
        if name not in names
    ]
    if strangers:
        raise invalid("no such file", strangers)
    for name in wanted or names:
        pieces = await blocking(world.artifacts.read, evaluation_id, name, CHUNK_BYTES)
        empty = True
        while (piece := await blocking(next, pieces, None)) is not None:
            empty = False
            yield name, piece
        if empty:
            yield name, b""
