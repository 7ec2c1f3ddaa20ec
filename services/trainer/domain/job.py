"""A training job: its state, its progress, its events."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from services.trainer.domain import preflight as checks
from services.trainer.domain import spec as specs
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.spec import TrainingSpec


class State(StrEnum):
    """See the proto."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def closed(self) -> bool:
        """Whether nothing happens any more."""
        return self not in (State.PENDING, State.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """See the proto."""

    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    trained_tokens: int = 0
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint: the folder of an adapter, or the name of a provider's model."""

    epoch: float
    step: int
    path: str = ""
    digest: str = ""
    loss: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a job's history; `sequence` counts from 1 without gaps."""

    sequence: int
    time: float
    state: str
    progress: Progress
    message: str = ""


@dataclass(slots=True, kw_only=True)
class Job:
    """What job.json holds.

    Attributes:
        id: Digest of the spec.
        spec: With defaults and paths resolved.
        base_digest: Over the base model's files.
        merged: Folder of the merged model.
        resume: What an executor wants to find again (the provider's own job and file).
    """

    id: str
    spec: TrainingSpec
    base_digest: str = ""
    state: State = State.PENDING
    reason: str = ""
    failure_reason: str = ""
    progress: Progress = field(default_factory=Progress)
    checkpoints: tuple[Saved, ...] = ()
    preflight: Preflight = field(default_factory=Preflight)
    created: float = 0.0
    updated: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    merged: str = ""
    resume: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`trainingJobs/{job}`."""
        return f"trainingJobs/{self.id}"

    def add(self, saved: Saved) -> None:
        """Keep a checkpoint; one that is told again (after a resume) replaces itself."""
        others = [known for known in self.checkpoints if known.step != saved.step]
        self.checkpoints = tuple(sorted([*others, saved], key=lambda known: (known.epoch, known.step)))


def to_json(job: Job) -> dict[str, Any]:
    """As plain values."""
    return {**asdict(job), "state": job.state.value}


def from_json(known: dict[str, Any]) -> Job:
    """The inverse of `to_json`."""
    return Job(
        **{
            **known,
            "spec": specs.from_json(known["spec"]),
            "state": State(known["state"]),
            "progress": Progress(**known["progress"]),
            "checkpoints": tuple(Saved(**saved) for saved in known["checkpoints"]),
            "preflight": checks.from_json(known["preflight"]),
        }
    )


def event_to_json(event: Event) -> dict[str, Any]:
    """As plain values."""
    return asdict(event)


def event_from_json(known: dict[str, Any]) -> Event:
    """The inverse."""
    return Event(**{**known, "progress": Progress(**known["progress"])})
