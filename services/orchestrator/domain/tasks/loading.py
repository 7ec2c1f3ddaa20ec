"""From files to a Task: picks the loader by the task's name and checks what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from chassis.errors import CandorError, FieldViolation, Reason
from services.orchestrator.domain import datafiles
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.tasks import (
    advbench,
    disinfo,
    gsm8k,
    medqa,
    mmlu,
    own,
    triviaqa,
    truthfulqa,
)
from services.orchestrator.domain.tasks.catalog import CATALOG, by_name
from services.orchestrator.domain.tasks.reader import read_rows
from services.orchestrator.domain.tasks.source import Problems, Row, SourceFile

BUILT_IN = ("core",)
LOADERS = ("triviaqa", "truthfulqa", "medqa", "disinfo", "mmlu", "gsm8k", "advbench")

ReadItems = Callable[[str, Sequence[Row], int, Problems], tuple[list[Item], list[str]]]


@dataclass(frozen=True, slots=True)
class _Loader:
    """How rows become items, in which version; `seeded` when the seed has a say."""

    items: ReadItems
    version: int
    seeded: bool = False


_OWN = _Loader(own.items, own.VERSION)
_BY_NAME: Mapping[str, _Loader] = {
    "triviaqa": _Loader(triviaqa.items, triviaqa.VERSION, seeded=True),
    "truthfulqa": _Loader(truthfulqa.items, truthfulqa.VERSION),
    "medqa": _Loader(medqa.items, medqa.VERSION, seeded=True),
    "disinfo": _Loader(disinfo.items, disinfo.VERSION),
    "mmlu": _Loader(mmlu.items, mmlu.VERSION, seeded=True),
    "gsm8k": _Loader(gsm8k.items, gsm8k.VERSION, seeded=True),
    "advbench": _Loader(advbench.items, advbench.VERSION),
}


def load(name: str, files: Sequence[SourceFile], seed: int, *, loader: str = "") -> Task:
    """Read a task.

    Args:
        name: What the document calls it: `core` (its files ship with the project), a loader's name, or any other.
        files: Its files; empty for a built-in task.
        seed: Of the draw of false answers, where the dataset has none.
        loader: Whose columns the files have, when the name does not say it; else those of `own`.

    Raises:
        CandorError: BAD_DATASET naming every bad row and column (at most 20) and how to mend it.
    """
    if name in BUILT_IN and not files:
        files = [SourceFile(file, datafiles.read("tasks", name, file)) for file in datafiles.names("tasks", name)]
    if not files:
        entry = by_name(name)
        like = get_close_matches(name, [known.name for known in CATALOG], n=1)
        meant = f"; did you mean {like[0]!r}?" if like else ""
        mend = f"give it hub: {entry.hub}, or a path" if entry else f"give it a hub id or a path, or use core{meant}"
        raise CandorError(Reason.BAD_DATASET, f"task {name!r} has no data; {mend}")
    how = _BY_NAME.get(loader or name, _OWN)
    problems = Problems()
    rows = read_rows(files, problems)
    problems.raise_any(name)
    items, notes = how.items(name, rows, seed, problems)
    if not items and not problems.found:
        problems.add(files[0].name, "has no usable row; " + ("; ".join(notes) or "check its columns"))
    problems.raise_any(name)
    parts = [name.encode(), str(how.version).encode(), *(file.data for file in files)]
    if how.seeded:
        parts.append(str(seed).encode())
    return Task(name=name, items=tuple(items), digest=datafiles.digest(*parts), notes=tuple(notes))


def load_built_in(name: str) -> Task:
    """A task that ships with the project.

    Raises:
        CandorError: BAD_DATASET; no built-in task has this name.
    """
    if name not in BUILT_IN:
        raise CandorError(Reason.BAD_DATASET, f"{name!r} is not built in; built in: {', '.join(BUILT_IN)}")
    return load(name, (), 1)


def check_distinct(tasks: Sequence[Task]) -> None:
    """Check that no two tasks share an item.

    Raises:
        CandorError: BAD_DATASET; two files name the same task and id.
    """
    owner: dict[tuple[str, str], str] = {}
    for task in tasks:
        for item in task.items:
            if item.key in owner:
                problem = FieldViolation(
                    f"tasks.{task.name}", f"item {item.id!r} of task {item.task!r} is in {owner[item.key]!r} too"
                )
                raise CandorError(
                    Reason.BAD_DATASET, "two tasks have the same item; change one's task column", violations=(problem,)
                )
            owner[item.key] = task.name
