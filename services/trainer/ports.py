"""What the trainer needs of the world. Backends implement these; tests bring fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from services.trainer.domain.job import Event, Job, Progress, Saved
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.spec import TrainingSpec


class Started(NamedTuple):
    """Training began, or went on after `step` steps, with these versions."""

    step: int
    versions: dict[str, str]
    message: str = ""


class Waiting(NamedTuple):
    """The job is under way elsewhere and does not train: what it waits for, in one sentence."""

    why: str


class Noted(NamedTuple):
    """Something to find again after a restart."""

    values: dict[str, str]


class Stepped(NamedTuple):
    """Steps were made. `past`: by an earlier worker; whoever knows them already may skip them."""

    progress: Progress
    past: bool = False


class Kept(NamedTuple):
    """A checkpoint is complete."""

    saved: Saved


class Merged(NamedTuple):
    """The last adapter and its base lie in one folder as a model."""

    path: str


class Done(NamedTuple):
    """Everything is trained; the last report."""


Report = Started | Waiting | Noted | Stepped | Kept | Merged | Done


class Executor(Protocol):
    """A way of training."""

    async def check(self, spec: TrainingSpec) -> Preflight:
        """Look at data, template and memory.

        Raises:
            CandorError: BAD_TRAINING_DATA, BAD_CHECKPOINT, BACKEND_MISSING, or what forbids the provider.
        """
        ...

    def run(self, job: Job, folder: Path, stop: asyncio.Event) -> AsyncIterator[Report]:
        """Train to the end, or to the next step after `stop` is set. Implemented as an async generator.

        What an earlier, broken run saved in `folder` or noted in `job.resume` is taken up. The last report is Done, unless
        it was stopped.

        Args:
            job: What to train.
            folder: The job's own; checkpoints appear in it complete or not at all.
            stop: Set to stop.

        Raises:
            CandorError: Training failed; the message holds the end of the log.
        """
        ...

    def reopen(self, job: Job, folder: Path) -> bool:
        """Whether a finished job has lost an adapter, so that it has to run again; what would keep it from that is removed.

        Adapters that are left stay as they are.
        """
        ...

    async def abandon(self, job: Job) -> None:
        """Let go of what goes on elsewhere when a person cancels a job. Raises CandorError."""
        ...


class Sources(Protocol):
    """Base models and data sets, inside the folders that this server may open."""

    async def base(self, path: str) -> tuple[str, str]:
        """(resolved path, digest over its files). Raises CandorError PATH_NOT_ALLOWED, CHECKPOINT_NOT_FOUND."""
        ...

    async def dataset(self, path: str, digest: str) -> str:
        """Resolved path. Raises CandorError PATH_NOT_ALLOWED, DATASET_NOT_FOUND, BAD_TRAINING_DATA (other content)."""
        ...


class JobStore(Protocol):
    """Where jobs are kept; each change is there whole or not at all. Raises CandorError DISK_FULL."""

    def ready(self) -> bool:
        """Whether jobs can be kept now."""
        ...

    def load(self) -> Sequence[Job]:
        """All jobs."""
        ...

    def save(self, job: Job) -> None:
        """Keep the job as it is now."""
        ...

    def append(self, job: Job, message: str) -> Event:
        """Keep the job's state and progress as its next event."""
        ...

    def events(self, job_id: str, offset: int) -> tuple[Sequence[Event], int]:
        """Events from a place on, and the place after them; 0 is the start."""
        ...

    def delete(self, job_id: str) -> None:
        """Remove the job and its folder."""
        ...

    def folder(self, job_id: str) -> Path:
        """The job's folder."""
        ...
