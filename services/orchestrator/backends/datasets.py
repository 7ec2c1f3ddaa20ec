"""Where a task's files come from: built in, uploaded, a local path inside the allowed folders, or the dataset hub.

A hub id is `owner/name`, and where wanted `owner/name:config/split` and `@revision`. For the public datasets of the
catalog, configuration and split are known.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.domain.items import Task
from services.orchestrator.domain.spec import TaskRef
from services.orchestrator.domain.tasks import SourceFile, load
from services.orchestrator.domain.tasks.catalog import CATALOG, by_hub
from services.orchestrator.ports import TaskInfo

MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasets:
    """The port Tasks over all four sources.

    Attributes:
        uploaded: File name and bytes of an uploaded digest, or None (the ledger's `dataset`).
        roots: Folders that local paths may lie in, after symlinks.
        any_path: Allow every local path (embedded).
        allow_hub: Let documents name hub ids; a server that may not reach out refuses them.
        hub_cache: Folder of the hub's downloads; None: its own default.
        hub_endpoint: URL of the hub or of a mirror; None: the client's own (HF_ENDPOINT).
    """

    uploaded: Callable[[str], tuple[str, bytes] | None]
    roots: Sequence[Path] = ()
    any_path: bool = False
    allow_hub: bool = False
    hub_cache: Path | None = None
    hub_endpoint: str | None = None

    def load(self, ref: TaskRef, seed: int) -> Task:
        """Load one task.

        Raises:
            CandorError: BAD_DATASET, DATASET_TOO_LARGE, PATH_NOT_ALLOWED, HOST_NOT_ALLOWED, BACKEND_MISSING,
                ENDPOINT_UNAVAILABLE (the hub cannot be reached).
        """
        files, note = self._files(ref)
        hub_id = ref.hub.split("@")[0].split(":")[0]
        entry = by_hub(hub_id) if ref.hub else None
        name = ref.name or (entry.name if entry else _stem(hub_id if ref.hub else files[0].name))
        task = load(name, files, seed, loader=entry.name if entry else "")
        return replace(task, notes=(note, *task.notes)) if note else task

    def files(self, ref: TaskRef) -> Sequence[SourceFile]:
        """The files of a task; none for a built-in one."""
        return self._files(ref)[0]

    def catalog(self) -> Sequence[TaskInfo]:
        """Built-in tasks and loaders."""
        return [
            TaskInfo(name=e.name, description=e.description, items=e.items, hub=e.hub, columns=e.columns)
            for e in CATALOG
        ]

    def _files(self, ref: TaskRef) -> tuple[Sequence[SourceFile], str]:
        if ref.dataset:
            return [self._upload(ref.dataset)], ""
        if ref.path:
            path = self.local(ref.path, "tasks.path")
            return [SourceFile(path.name, _whole(path, ref.path))], ""
        if ref.hub:
            return self._hub(ref)
        return [], ""

    def _upload(self, digest: str) -> SourceFile:
        found = self.uploaded(digest)
        if found is None:
            raise _bad("tasks.dataset", "no file of this digest is here; upload it first")
        return SourceFile(PurePosixPath(found[0]).name, found[1])

    def local(self, path: str, field: str) -> Path:
        """Where a path of a document really leads; `field` names it.

        Raises:
            CandorError: BAD_DATASET (no such file), PATH_NOT_ALLOWED.
        """
        try:
            real = Path(path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            # Outside the allowed folders, whether a file exists is not told.
            if self.any_path or self._inside(Path(path).absolute()):
                raise _bad(field, f"{path}: there is no such file") from error
            raise _refused(path, field) from error
        if not (self.any_path or self._inside(real)):
            raise _refused(path, field)
        return real

    def _inside(self, path: Path) -> bool:
        return any(path.is_relative_to(root.resolve()) for root in self.roots)

    def _hub(self, ref: TaskRef) -> tuple[Sequence[SourceFile], str]:
        if not self.allow_hub:
            text = "this server does not reach out to the dataset hub; upload the file instead"
            raise invalid("hub ids are not allowed", [FieldViolation("tasks.hub", text)], Reason.HOST_NOT_ALLOWED)
        from services.orchestrator.backends.dataset_hub import fetch

        files, commit = fetch(ref.hub, self.hub_cache, MAX_BYTES, self.hub_endpoint)
        return files, f"from the hub: {ref.hub} at {commit}"


def _whole(real: Path, path: str) -> bytes:
    """The bytes of a local file. Raises CandorError BAD_DATASET, DATASET_TOO_LARGE."""
    try:
        with real.open("rb") as stream:
            if not stat.S_ISREG(real.stat().st_mode):
                raise _bad("tasks.path", f"{path} is not a file")
            data = stream.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise _bad("tasks.path", f"{path} is a folder; name a csv, json, jsonl or parquet file") from error
    except OSError as error:
        raise _bad("tasks.path", f"{path} cannot be read ({error.strerror})") from error
    return within_limit(data, path)


def within_limit(data: bytes, name: str) -> bytes:
    """The data, unless it is too large.

    Raises:
        CandorError: DATASET_TOO_LARGE.
    """
    if len(data) > MAX_BYTES:
        raise CandorError(Reason.DATASET_TOO_LARGE, f"{name} is larger than {MAX_BYTES >> 20} MiB; split it")
    return data


def _bad(field: str, text: str) -> CandorError:
    return invalid("data cannot be had", [FieldViolation(field, text)], Reason.BAD_DATASET)


def _refused(path: str, field: str) -> CandorError:
    text = f"{path} lies outside the folders that this server reads datasets from; upload the file instead"
    return invalid("a path is not allowed", [FieldViolation(field, text)], Reason.PATH_NOT_ALLOWED)


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem
