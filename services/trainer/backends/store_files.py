"""Jobs as folders: `training/<job>/job.json` and `events.jsonl` beside the checkpoints.

job.json is replaced as a whole; events.jsonl only grows, and a last line that was cut off by a crash is dropped.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chassis.errors import CandorError, Reason
from services.trainer.domain import job as jobs
from services.trainer.domain.job import Event, Job

_JOB = "job.json"
_EVENTS = "events.jsonl"


class FileJobs:
    """A `JobStore` in a folder.

    Args:
        root: The artifact root; jobs lie in its `training`. Made when the first job is kept.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root.absolute() / "training"
        self._sequences: dict[str, int] = {}

    def ready(self) -> bool:
        """Whether the folder can be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return os.access(self._folder, os.W_OK)

    def folder(self, job_id: str) -> Path:
        """The job's folder."""
        return self._folder / job_id

    def load(self) -> Sequence[Job]:
        """All jobs whose job.json can be read; a folder without one is not a job."""
        return [jobs.from_json(json.loads(path.read_text("utf-8"))) for path in self._folder.glob(f"*/{_JOB}")]

    def save(self, job: Job) -> None:
        """Replace job.json. Raises CandorError DISK_FULL."""
        job.updated = time.time()
        with disk_errors(self._folder):
            folder = self.folder(job.id)
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / _JOB, json.dumps(jobs.to_json(job), indent=1))

    def append(self, job: Job, message: str) -> Event:
        """Add the next event. Raises CandorError DISK_FULL; then nothing was added."""
        path = self.folder(job.id) / _EVENTS
        if job.id not in self._sequences:
            self._sequences[job.id] = _mend(path)
        event = Event(
            sequence=self._sequences[job.id] + 1,
            time=time.time(),
            state=job.state.value,
            progress=job.progress,
            message=message,
        )
        line = json.dumps(jobs.event_to_json(event)).encode() + b"\n"
        with disk_errors(self._folder):
            size = path.stat().st_size if path.exists() else 0
            try:
                with path.open("ab") as file:
                    file.write(line)
            except OSError:
                if path.exists():
                    os.truncate(path, size)
                raise
        self._sequences[job.id] = event.sequence
        return event

    def events(self, job_id: str, offset: int) -> tuple[Sequence[Event], int]:
        """Whole lines from a byte on."""
        path = self.folder(job_id) / _EVENTS
        if not path.exists():
            return [], offset
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        return [jobs.event_from_json(json.loads(line)) for line in data.splitlines()], offset + len(data)

    def delete(self, job_id: str) -> None:
        """Remove the folder; job.json goes first, so that half a job is no job."""
        folder = self.folder(job_id)
        (folder / _JOB).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        self._sequences.pop(job_id, None)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk into a CandorError that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"no space left in {folder}; make room, then create the job again: it goes on where it stopped"
        raise CandorError(Reason.DISK_FULL, message) from error


def _mend(path: Path) -> int:
    """Drop a torn last line; the last sequence number, 0 when there is none."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    lines = whole.splitlines()
    return int(json.loads(lines[-1])["sequence"]) if lines else 0
