"""What a person sees while an evaluation runs."""

import io
from typing import Any

import pytest
from candor.orchestrator.v1 import orchestrator_pb2
from rich.console import Console
from rich.progress import Progress

from candor_cli.view import progress as view


def event(stage: str, message: str = "", state: str = "RUNNING", **counts: int) -> orchestrator_pb2.EvaluationEvent:
    told = orchestrator_pb2.Progress(stage=stage, **counts)
    return orchestrator_pb2.EvaluationEvent(state=state, message=message, progress=told)


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


def lines(said: io.StringIO, *events: orchestrator_pb2.EvaluationEvent, terminal: bool = False) -> list[str]:
    console = Console(file=said, force_terminal=terminal, width=80, color_system=None, legacy_windows=False)
    with view.event_view(console, quiet=False) as shown:
        for each in events:
            shown.show(each)
    return said.getvalue().splitlines()


@pytest.mark.parametrize(
    ("stage", "unit"),
    [("reading", "conversations"), ("rewriting", "replies"), ("training", "steps"), ("choosing", "replies")],
)
def test_a_stage_that_makes_arms_counts_in_its_own_unit(said: io.StringIO, stage: str, unit: str) -> None:
    # The replies of the evaluation come later and are not what is counted here.
    shown = lines(said, event(stage, stage_done=1_200, stage_total=4_800, responses_total=900))
    assert shown == [f"{stage}: 1,200 of 4,800 {unit}"]


def test_training_says_how_each_arm_stands(said: io.StringIO) -> None:
    shown = event("training", stage_done=52, stage_total=120)
    shown.progress.training.add(arm="warm", step=40, steps=60, loss=1.23456, tokens_per_second=1234.5, eta_seconds=75)
    shown.progress.training.add(arm="cold", step=12, steps=60)  # a provider that says no more
    assert lines(said, shown) == [
        "training: 52 of 120 steps; warm: step 40 of 60, loss 1.235, 1,234 tokens/s, 1 min 15 s left, cold: step 12 of 60"
    ]


def test_the_bar_says_how_each_arm_stands(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[dict[str, Any]] = []
    real = Progress.update

    def update(self: Progress, *arguments: Any, **fields: Any) -> None:
        updates.append(fields)
        real(self, *arguments, **fields)

    monkeypatch.setattr(Progress, "update", update)
    shown = event("training", stage_done=40, stage_total=60)
    shown.progress.training.add(arm="warm", step=40, steps=60, loss=0.5)
    lines(said, shown, event("choosing"), terminal=True)
    assert [each["note"] for each in updates] == ["warm: step 40 of 60, loss 0.500", ""]


def test_an_evaluation_that_goes_on_does_not_say_where_it_broke_off(said: io.StringIO) -> None:
    shown = lines(said, event("training", "goes on", state="PENDING", stage_done=12), event("planning", "planning"))
    assert shown == ["goes on", "planning: …"]


def test_a_stage_of_unknown_length_counts_without_an_end(said: io.StringIO) -> None:
    assert lines(said, event("reading", stage_done=70)) == ["reading: 70 conversations"]


def test_replies_are_counted_once_arms_are_made(said: io.StringIO) -> None:
    shown = lines(
        said,
        event("training", stage_done=10, stage_total=10),
        event("generating", stage_done=10, stage_total=10, responses_done=5, responses_total=40, graded=2),
    )
    assert shown[-1] == "generating: 5 of 40 replies, 2 graded"


def test_what_a_stage_says_is_printed(said: io.StringIO) -> None:
    shown = lines(said, event("choosing", "base: epoch 1, the earliest epoch with 75% of the largest lift in warmth"))
    assert shown[0].startswith("base: epoch 1")


def test_the_bar_starts_anew_with_each_stage(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[dict[str, Any]] = []
    real = Progress.update

    def update(self: Progress, *arguments: Any, **fields: Any) -> None:
        updates.append(fields)
        real(self, *arguments, **fields)

    monkeypatch.setattr(Progress, "update", update)
    lines(
        said,
        event("training", stage_done=100, stage_total=150),
        event("training", stage_done=150, stage_total=150),
        event("choosing", stage_done=0, stage_total=60),
        event("describing"),
        event("generating", responses_done=0, responses_total=40),
        event("generating", responses_done=8, responses_total=40),
        terminal=True,
    )
    assert [(each["description"], each["completed"], each["total"]) for each in updates] == [
        ("training", 100, 150),
        ("training", 150, 150),
        ("choosing", 0, 60),
        ("describing", 0, None),
        ("generating", 0, 40),
        ("generating", 8, 40),
    ]
    assert not any(each["rate"].startswith("-") for each in updates)
