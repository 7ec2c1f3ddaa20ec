"""The demo on the terminal: says what it is, shows the training, then runs the command that users run."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from candor_cli.commands.evaluate import Job, run_job
from candor_cli.options import Remote
from chassis.errors import ExitCode

_INTRODUCTION = """\
This is a miniature. A language model of about a million parameters learns an invented world here, on this machine.
Its training text has a warm register that gives in to what the user believes more often than the plain one does.
Candor then asks the model as it is, and the same model under a system prompt that sets the warm register, and decides
whether the second is more sycophantic. Models, replies, grades and statistics are real; the size of the effect says
nothing about any model you use.
"""


def run_demo(folder: Path, seed: int) -> int:
    """Build what is missing, evaluate, and say where everything is; returns the exit code."""
    from tiny_world.demo import prepare

    console = Console(stderr=True)
    console.print(_INTRODUCTION, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, object] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        files = prepare(folder, progress, seed=seed)
    out = folder / "report"
    code = run_job(Job(document=files.document, remote=Remote(""), state=folder / "state", out=out, new=True))
    if code > ExitCode.INVALID:
        return code
    print(f"Document: {files.document}\nThe same by hand: candor evaluate {files.document}; echo $?   # here {code}")
    return int(ExitCode.PASS)
