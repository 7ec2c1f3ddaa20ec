"""The demo on the terminal: says what it is, shows the training, then runs the command that users run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from candor_cli.commands.evaluate import Job, run_job
from candor_cli.options import Remote
from chassis.errors import ExitCode

_INTRODUCTION = (
    "This is a miniature. A language model of about a million parameters learns an invented world here, on this machine "
    "(a few minutes the first time; later runs find it in {folder}). Candor then asks the model as it is, and the same "
    "model under a system prompt that sets a warm register, and decides whether the second is more sycophantic. Models, "
    "replies, grades and statistics are real. The size of the effect says nothing about any model that you use.\n"
)


def run_demo(folder: Path, seed: int) -> int:
    """Build what is missing, evaluate, and say where everything is; returns the exit code."""
    from tiny_world.demo import prepare

    console = Console(stderr=True)
    console.print(_INTRODUCTION.format(folder=folder), highlight=False)
    with training_view(console) as show:
        files = prepare(folder, show, seed=seed)
    state, out = folder / "state", folder / "report"
    code = run_job(Job(document=files.document, remote=Remote(""), state=state, out=out, new=True))
    if code > ExitCode.INVALID:
        return code
    for note in files.notes:
        print(f"- {note}")
    print(f"Document: {files.document}")
    print(f"The same by hand: candor evaluate {files.document}  (its exit code is {code})")
    return int(ExitCode.PASS)


@contextmanager
def training_view(console: Console) -> Iterator[Callable[[str, float], None]]:
    """Takes (what is being done, share done): a bar on a terminal, a line for every tenth elsewhere."""
    if not console.is_terminal:
        said: set[tuple[str, int]] = set()

        def line(stage: str, done: float) -> None:
            step = (stage.partition(" (")[0], int(10 * done))
            if step not in said:
                said.add(step)
                console.print(f"{stage}: {done:.0%} of the training", highlight=False)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        training = bar.add_task("preparing", total=1.0)
        yield lambda stage, done: bar.update(training, description=stage, completed=done)
        bar.update(training, description="models are there", completed=1.0)
