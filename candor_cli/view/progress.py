"""Live progress of an evaluation: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from candor.orchestrator.v1 import orchestrator_pb2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from chassis.text import duration, plain

_SECONDS_BETWEEN_LINES = 15.0
_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
# What the stages that make arms count.
_UNITS = {"reading": "conversations", "rewriting": "replies", "training": "steps", "choosing": "replies"}


class EventView(Protocol):
    """Takes every event of an evaluation."""

    def show(self, event: orchestrator_pb2.EvaluationEvent) -> None:
        """Show one event."""
        ...


class Quiet:
    """Shows nothing."""

    def show(self, event: orchestrator_pb2.EvaluationEvent) -> None:
        """See EventView."""


class Lines:
    """A line for each new stage and every fifteen seconds: for logs of CI and pods."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._last = 0.0

    def show(self, event: orchestrator_pb2.EvaluationEvent) -> None:
        """See EventView."""
        progress, now = event.progress, time.monotonic()
        if _worth_saying(event):
            self._say(plain(event.message))
        if not progress.stage or event.state == "PENDING":  # where an earlier attempt broke off
            return
        if progress.stage != self._stage or now - self._last >= _SECONDS_BETWEEN_LINES:
            self._stage, self._last = progress.stage, now
            self._say(f"{progress.stage}: {counts(progress)}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class Bar:
    """A progress bar with counts, rate, remaining time and spend."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console = console
        self._bar = bar
        self._task = bar.add_task("starting", total=None, note="", rate="")
        self._stage = ""
        self._start: tuple[float, int] | None = None

    def show(self, event: orchestrator_pb2.EvaluationEvent) -> None:
        """See EventView."""
        progress = event.progress
        if _worth_saying(event):
            self._console.print(plain(event.message), markup=False, highlight=False, style="dim")
        now = time.monotonic()
        done, total = _done(progress)
        if progress.stage != self._stage:
            if progress.stage in _UNITS or self._stage in _UNITS:
                # Each of these stages counts something else, at another pace.
                self._bar.reset(self._task)
                self._start = None
            self._stage = progress.stage
        if self._start is None and progress.stage in (*_UNITS, "generating"):
            self._start = (now, done)
        rate = ""
        if self._start is not None and now > self._start[0]:
            rate = f"{(done - self._start[1]) / (now - self._start[0]):.1f}/s"
        self._bar.update(
            self._task,
            description=progress.stage,
            completed=done,
            total=total or None,
            rate=rate,
            note=_note(progress),
        )


@contextmanager
def event_view(console: Console, *, quiet: bool) -> Iterator[EventView]:
    """The view that fits where the output goes."""
    if quiet:
        yield Quiet()
    elif not console.is_terminal:
        yield Lines(console)
    else:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            yield Bar(console, bar)


def _worth_saying(event: orchestrator_pb2.EvaluationEvent) -> bool:
    """Whether a message says more than the stage, and is not how it ended, which is said in full afterwards."""
    return event.message not in ("", event.progress.stage) and event.state not in _ENDED


def _done(progress: orchestrator_pb2.Progress) -> tuple[int, int]:
    """What there is of what may be needed, in the unit of the stage."""
    if progress.stage in _UNITS:
        return progress.stage_done, progress.stage_total
    return progress.responses_done, progress.responses_total


def counts(progress: orchestrator_pb2.Progress) -> str:
    """What was done of what may be needed, in the unit of the stage."""
    done, total = _done(progress)
    if progress.stage in _UNITS:
        of = f" of {total:,}" if total else ""
        text = f"{done:,}{of} {_UNITS[progress.stage]}" if done or total else "…"
    elif total:
        text = f"{done:,} of {total:,} replies, {progress.graded:,} graded"
    else:
        return "…"
    note = _note(progress)
    return f"{text}{'; ' if progress.training else ', '}{note}" if note else text


def _note(progress: orchestrator_pb2.Progress) -> str:
    parts = [_trains(arm) for arm in progress.training]
    if progress.looks_total > 1:
        parts.append(f"look {progress.looks_done} of {progress.looks_total}")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.reused:
        parts.append(f"{progress.reused:,} reused")
    if progress.HasField("spend"):
        parts.append(f"spent {progress.spend:,.2f}")
    return ", ".join(parts)


def _trains(arm: orchestrator_pb2.ArmTraining) -> str:
    """How the training of an arm stands."""
    parts = [f"step {arm.step:,} of {arm.steps:,}"]
    if arm.HasField("loss"):
        parts.append(f"loss {arm.loss:.3f}")
    if arm.HasField("tokens_per_second"):
        parts.append(f"{arm.tokens_per_second:,.0f} tokens/s")
    if arm.HasField("eta_seconds"):
        parts.append(f"{duration(arm.eta_seconds)} left")
    return f"{plain(arm.arm)}: {', '.join(parts)}"
