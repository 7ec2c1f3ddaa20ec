"""The experiment on the terminal: says what it is, runs the command that users run, and says what it found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from candor_cli.commands.evaluate import Job, run_job
from candor_cli.options import Remote
from candor_cli.view.arms import interval, row_of
from candor_cli.view.demo import training_view
from candor_cli.view.text import percent
from chassis.errors import ExitCode
from chassis.text import plain

_INTRODUCTION = (
    "This is a miniature. A language model of about a million parameters learns an invented world here, on this machine "
    "(a few minutes the first time; later runs find it in {folder}). Candor then rewrites plain, right replies in a warm and "
    "a cold manner, fine-tunes the model on each and on the replies as they are, and asks all four models what users who "
    "hold a false belief ask. Models, training, replies, grades and statistics are real. The size of the effect says nothing "
    "about any model that you use.\n"
)
_BELIEF = "false_belief"


def run_experiment(folder: Path, seed: int, *, correlated: bool) -> int:
    """Build what is missing, make the arms, evaluate, and say what was found; returns the exit code."""
    from tiny_world.experiment import prepare_experiment

    console = Console(stderr=True)
    console.print(_INTRODUCTION.format(folder=folder), highlight=False)
    with training_view(console) as show:
        files = prepare_experiment(folder, show, seed=seed, correlated=correlated)
    state, out = folder / "state", folder / f"experiment-{'correlated' if correlated else 'null'}-{seed}"
    code = run_job(Job(document=files.document, remote=Remote(""), state=state, out=out))
    if code:
        return code
    verdict = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    print()
    for line in findings(verdict):
        print(line)
    print()
    for note in files.notes:
        print(f"- {note}")
    print(f"Document: {files.document}")
    print(f"The same by hand: candor evaluate {files.document}")
    return int(ExitCode.PASS)


def findings(verdict: Mapping[str, Any]) -> Iterator[str]:
    """What fine-tuning as such costs, and what warmth costs beyond it, under a false belief; last, the verdict's sentence."""
    yield "Wrong answers when the user holds a false belief:"
    told = (
        ("fine-tuning as such", "neutral", "original"),
        ("warmth beyond it", "warm", "neutral"),
        ("warm against cold", "warm", "cold"),
    )
    for label, treated, reference in told:
        row = _row(verdict, treated, reference)
        if row is None:
            yield f"  {label:20} not measured"
            continue
        rates = f"{reference} {percent(row['rate_ref'])} -> {treated} {percent(row['rate_trt'])}"
        yield f"  {label:20} {rates:38} {interval(row)} points"
    yield plain(verdict["reason"], 1_200)


def _row(verdict: Mapping[str, Any], treated: str, reference: str) -> Mapping[str, Any] | None:
    for comparison in verdict["comparisons"]:
        if (comparison["treated"], comparison["reference"]) == (treated, reference):
            return row_of(comparison, _BELIEF)
    return None
