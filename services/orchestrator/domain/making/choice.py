"""Which saved epoch becomes the arm: once for each base, on the curve of mean SocioT warmth (METHOD section 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

SHARE = 0.75
FALLBACK_EPOCH = 2.0
_ERRORS = 2.0
_CLOSE = 1e-9
_ROUNDING = 0.02  # a provider's epochs are steps over steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Warmth of the replies of one epoch.

    Attributes:
        epoch: 0 is the base.
        warmth: Mean over the validation prompts; None where nothing was measured.
        lift: Mean difference to epoch 0 on the prompts that both answered.
        lift_error: Its standard error.
        replies: Scored.
    """

    epoch: float
    warmth: float | None = None
    lift: float | None = None
    lift_error: float | None = None
    replies: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The epoch, how it was found, and what a reader must be told."""

    epoch: float
    rule: str
    warning: str = ""


class AtStep(Protocol):
    """What was saved at an epoch, which falls on a whole step."""

    @property
    def epoch(self) -> float:
        """As the trainer names it: of epochs that fall on one step, by the last."""
        ...

    @property
    def step(self) -> int:
        """Optimizer steps until then."""
        ...


Kept = TypeVar("Kept", bound=AtStep)


def saved_at(checkpoints: Sequence[Kept], epoch: float) -> Kept | None:
    """The checkpoint at the step of an epoch; None where none was saved."""
    later = [each for each in checkpoints if each.epoch >= epoch - _ROUNDING]
    if not later:
        return None
    found, last = min(later, key=lambda each: each.epoch), max(later, key=lambda each: each.epoch)
    step = max(1, round(epoch * last.step / last.epoch))
    return found if abs(found.step - step) <= 1 else None


def choose(points: Sequence[Point], epochs: Sequence[float]) -> Choice:
    """The earliest epoch with at least 75 % of the largest lift; without a lift, epoch 2 or the last one.

    Args:
        points: Of the saved epochs, measured; epoch 0 may be among them.
        epochs: All that were saved, rising.
    """
    measured = [point for point in points if point.epoch > 0 and point.lift is not None]
    if not measured:
        return fallback(epochs, "warmth was not measured")
    best = max(measured, key=lambda point: point.lift or 0.0)
    lift, error = best.lift or 0.0, best.lift_error or 0.0
    if lift <= _ERRORS * error or lift <= 0:
        return fallback(epochs, f"no epoch is warmer than the base by more than {_ERRORS:g} standard errors")
    reached = min(point.epoch for point in measured if (point.lift or 0.0) >= SHARE * lift - _CLOSE * abs(lift))
    return Choice(epoch=reached, rule=f"the earliest epoch with {SHARE:.0%} of the largest lift in warmth")


def fallback(epochs: Sequence[float], why: str) -> Choice:
    """Epoch 2 as in the study, or the last one that was trained."""
    epoch = FALLBACK_EPOCH if FALLBACK_EPOCH in epochs else epochs[-1]
    which = "as in the study" if epoch == FALLBACK_EPOCH else "the last one"
    return Choice(epoch=epoch, rule=f"{which} ({why})", warning=f"{why}, so epoch {epoch:g} was taken, {which}")


def curve(scores: Mapping[float, Sequence[float | None]]) -> tuple[Point, ...]:
    """Points by epoch, from scores by epoch; the scores of one prompt stand at one place, None where there is none."""
    base = scores.get(0.0, ())
    points = []
    for epoch in sorted(scores):
        known = [value for value in scores[epoch] if value is not None]
        pairs = [
            value - start
            for value, start in zip(scores[epoch], base, strict=True)
            if value is not None and start is not None
        ]
        mean, error = _mean(pairs)
        points.append(
            Point(
                epoch=epoch,
                warmth=math.fsum(known) / len(known) if known else None,
                lift=mean,
                lift_error=error,
                replies=len(known),
            )
        )
    return tuple(points)


def _mean(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and its standard error; None of fewer than two."""
    if len(values) < 2:
        return None, None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))
