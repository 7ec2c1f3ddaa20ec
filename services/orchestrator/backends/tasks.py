"""Question families: the built-in one and uploaded files."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.items import Task
from services.orchestrator.domain.spec import TaskRef
from services.orchestrator.domain.tasks import SourceFile, load
from services.orchestrator.ports import Ledger, TaskInfo


class LedgerTasks:
    """Implements `ports.Tasks`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def load(self, ref: TaskRef, seed: int) -> Task:
        """See ports."""
        files: list[SourceFile] = []
        if ref.dataset:
            found = self._ledger.dataset(ref.dataset)
            if found is None:
                raise CandorError(Reason.BAD_DATASET, f"task {ref.name!r}: no file {ref.dataset} was uploaded")
            files = [SourceFile(*found)]
        return load(ref.name, files, seed)

    def catalog(self) -> Sequence[TaskInfo]:
        """See ports."""
        return ()
