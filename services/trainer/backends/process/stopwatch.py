"""Estimates how long a job will take: a child process times a few steps of it, once for each kind of job."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from services.trainer.backends.process.child import last_words, reap, start
from services.trainer.backends.process.order import Order
from services.trainer.backends.process.timing import Asked
from services.trainer.domain.effort import Effort, Layout, seconds
from services.trainer.domain.spec import TrainingSpec

_MOST_SECONDS = 120.0

Timed = list[tuple[int, float]]


class Estimate(NamedTuple):
    """Seconds of all steps, and what they rest on; None and why there are none."""

    seconds: float | None
    basis: str


class _UntimedError(Exception):
    """Why steps could not be timed."""


class _Known(NamedTuple):
    effort: Effort
    timed: Timed


class Stopwatch:
    """Times steps.

    Args:
        device: `auto`, `cpu`, `cuda`.
        threads: Of torch; 0 leaves its own choice.
    """

    def __init__(self, device: str, threads: int) -> None:
        self._device = device
        self._threads = threads
        self._known: dict[object, _Known | str] = {}
        self._timing = asyncio.Lock()

    async def idle(self) -> None:
        """Wait until nothing is timed: a job that starts now would disturb it."""
        async with self._timing:
            pass

    async def estimate(self, spec: TrainingSpec, layout: Layout, effort: Effort, name: str, *, busy: bool) -> Estimate:
        """How long a job takes on this machine.

        Args:
            spec: The job.
            layout: How it lies on the device.
            effort: What it computes.
            name: Of the device.
            busy: Whether a job trains on it now, which timing would disturb.
        """
        if not effort.depths:
            return Estimate(None, "not estimated: the base model's config.json does not say how many layers it has")
        key = (spec.base, spec.lora, spec.training.batching, layout)
        async with self._timing:
            known = self._known.get(key)
            if known is None:
                if busy:
                    return Estimate(None, "not estimated: another job trains on the device")
                try:
                    known = _Known(effort, await self._time(spec, effort))
                except _UntimedError as error:
                    known = f"not estimated: {error}"
                self._known[key] = known  # a failure, too: the next arm of an experiment need not wait for it again
        if isinstance(known, str):
            return Estimate(None, known)
        rate = replace(effort, step=known.effort.step, step_tokens=known.effort.step_tokens)
        found = seconds(rate, known.timed, layout.shape.layers, spec.training.processes)
        return Estimate(found, _basis(known, layout, name))

    async def _time(self, spec: TrainingSpec, effort: Effort) -> Timed:
        with tempfile.TemporaryDirectory(prefix="candor-timing-") as place:
            folder = Path(place)
            training = replace(spec.training, batch_size=len(effort.step), processes=1)
            once = replace(spec, training=training)
            Order(spec=once, device=self._device, threads=self._threads, state_seconds=0).write(folder)
            Asked(effort.step, effort.depths).write(folder)
            with (folder / "log.txt").open("wb") as log:
                process = await start(self._command(folder), log)
            return await self._told(process, folder / "log.txt")

    def _command(self, folder: Path) -> list[str]:
        return ["-m", "services.trainer.backends.process.timing", str(folder)]

    async def _told(self, process: asyncio.subprocess.Process, log: Path) -> Timed:
        timed: Timed = []
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                async for line in process.stdout:
                    told = json.loads(line)
                    timed.append((told["depth"], told["seconds"]))
                code = await process.wait()
        except TimeoutError as error:
            raise _UntimedError(f"timing a few steps took over {_MOST_SECONDS:.0f} s") from error
        finally:
            await reap(process)
        if code or not timed:
            said = await asyncio.to_thread(last_words, log)
            raise _UntimedError(f"a few steps could not be timed: {said}")
        return timed


def _basis(known: _Known, layout: Layout, name: str) -> str:
    effort = known.effort
    depths = " and ".join(str(depth) for depth, _ in known.timed)
    return (
        f"a few steps of {len(effort.step)} conversations ({effort.step_tokens:,} tokens with padding) through {depths} of "
        f"{layout.shape.layers} layers were timed on {name}; loading and saving are not counted"
    )
