"""Estimates of a job's time, the timed steps scripted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.trainer.backends.process.stopwatch import Stopwatch
from services.trainer.domain.effort import Effort, Layout
from services.trainer.domain.memory import Shape
from services.trainer.domain.spec import Training, TrainingSpec

LAYOUT = Layout(shape=Shape(parameters=40_000, hidden=32, layers=6, feed_forward=64, vocabulary=259), rows=2)
EFFORT = Effort(tokens=1000, flops=1e6, step=(5, 5), step_tokens=10, depths=(1, 4))
TWO_SLICES = 'print(\'{"depth": 1, "seconds": 0.3}\'); print(\'{"depth": 4, "seconds": 0.6}\')'


class Scripted(Stopwatch):
    """Runs a script in place of the timing, and counts how often."""

    def __init__(self, script: str) -> None:
        super().__init__("cpu", 1)
        self.script = script
        self.runs = 0

    def _command(self, folder: Path) -> list[str]:
        self.runs += 1
        return ["-c", self.script]


@pytest.fixture
def spec(spec_of: Callable[..., TrainingSpec]) -> TrainingSpec:
    return spec_of()


async def test_seconds_come_with_what_they_rest_on(spec: TrainingSpec) -> None:
    found = await Scripted(TWO_SLICES).estimate(spec, LAYOUT, EFFORT, "cpu", busy=False)
    assert found.seconds == pytest.approx(100 * (0.2 + 6 * 0.1))
    assert "2 conversations (10 tokens with padding) through 1 and 4 of 6 layers were timed on cpu" in found.basis


async def test_jobs_of_one_kind_are_timed_once_even_while_one_of_them_trains(spec: TrainingSpec) -> None:
    watch = Scripted(TWO_SLICES)
    first = await watch.estimate(spec, LAYOUT, EFFORT, "cpu", busy=False)
    longer = replace(EFFORT, tokens=3000, step=(9, 9), step_tokens=18)
    other_data = replace(spec, dataset="/other")
    second = await watch.estimate(other_data, LAYOUT, longer, "cpu", busy=True)
    assert second.seconds == pytest.approx(3 * (first.seconds or 0))
    assert watch.runs == 1
    packed = replace(spec, training=Training(batching="packing"))
    await watch.estimate(packed, LAYOUT, EFFORT, "cpu", busy=False)
    assert watch.runs == 2


async def test_nothing_is_timed_beside_a_job_that_trains(spec: TrainingSpec) -> None:
    watch = Scripted(TWO_SLICES)
    found = await watch.estimate(spec, LAYOUT, EFFORT, "cpu", busy=True)
    assert found == (None, "not estimated: another job trains on the device")
    assert watch.runs == 0


@pytest.mark.parametrize(
    ("script", "said"), [("raise ValueError('no such layer')", "no such layer"), ("pass", "nothing")]
)
async def test_steps_that_cannot_be_timed_refuse_no_job(spec: TrainingSpec, script: str, said: str) -> None:
    watch = Scripted(script)
    found = await watch.estimate(spec, LAYOUT, EFFORT, "cpu", busy=False)
    assert found.seconds is None
    assert await watch.estimate(spec, LAYOUT, EFFORT, "cpu", busy=False) == found
    assert watch.runs == 1
    assert found.basis.startswith("not estimated: a few steps could not be timed: ")
    assert found.basis.endswith(said)


async def test_a_model_that_does_not_say_its_layers_is_not_timed(spec: TrainingSpec) -> None:
    watch = Scripted(TWO_SLICES)
    found = await watch.estimate(spec, LAYOUT, replace(EFFORT, depths=()), "cpu", busy=False)
    assert (found.seconds, watch.runs) == (None, 0)
    assert "how many layers" in found.basis
