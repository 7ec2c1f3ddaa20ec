"""What a server tells its worker: the spec and how to carry it out on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from services.trainer.backends.store_files import write_whole
from services.trainer.domain import spec as specs
from services.trainer.domain.spec import TrainingSpec

_FILE = "order.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run of a worker.

    Attributes:
        spec: What to train.
        device: `auto`, `cpu`, `cuda`.
        threads: Of torch; 0 leaves its own choice.
        state_seconds: Longest time between two saved states.
    """

    spec: TrainingSpec
    device: str
    threads: int
    state_seconds: float

    def write(self, folder: Path) -> None:
        """Put it into the job's folder."""
        write_whole(folder / _FILE, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Order:
        """From the job's folder."""
        known = json.loads((folder / _FILE).read_text("utf-8"))
        return cls(**{**known, "spec": specs.from_json(known["spec"])})
