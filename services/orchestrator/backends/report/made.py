"""How the arms were made, as the page shows it: training curves, the choice of the checkpoint, data cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from chassis.text import plain
from services.orchestrator.backends.report.plots import Scale, svg
from services.orchestrator.domain.making.choice import SHARE, Point
from services.orchestrator.domain.making.made import MadeArm

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 480, 50, 360, 30, 232, 268
_TONES = 5
# Characters of a name that fit beside the plot.
_LABEL = 16


def made_view(arms: Sequence[MadeArm]) -> list[dict[str, Any]]:
    """What the template shows of each base and the arms made from it."""
    bases = list(dict.fromkeys(arm.base for arm in arms))
    return [_base(base, [arm for arm in arms if arm.base == base]) for base in bases]


def _base(base: str, arms: Sequence[MadeArm]) -> dict[str, Any]:
    chooser = next((arm for arm in arms if arm.curve), None)
    return {
        "base": base,
        "arms": arms,
        "epoch": arms[0].epoch,
        "rule": arms[0].rule,
        "chosen_on": arms[0].chosen_on,
        "losses": loss_curves(arms),
        "checkpoints": [(arm, *_folder(arm)) for arm in arms],
        "curve": choice_curve(chooser.curve, chooser.epoch) if chooser else "",
        "points": chooser.curve if chooser else (),
        "selection": arms[0].card.get("selection"),
        "kept": arms[0].card.get("kept"),
        "settings": arms[0].training,
        "facts": arms[0].facts,
        "versions": arms[0].versions,
    }


def _folder(arm: MadeArm) -> tuple[str, list[str]]:
    """The folder that all checkpoints of an arm lie in and their names there; else their paths, or a provider's names."""
    paths = [PurePath(saved.path) for saved in arm.checkpoints]
    parents = {path.parent for path in paths}
    if len(parents) == 1 and len(paths[0].parts) > 1:
        return str(parents.pop()), [path.name for path in paths]
    return "", [saved.path or saved.model for saved in arm.checkpoints]


def loss_curves(arms: Sequence[MadeArm]) -> Markup:
    """Training loss by epoch, a line for each arm."""
    drawn = [arm for arm in arms if len(arm.losses) > 1]
    if not drawn:
        return Markup("")
    across = Scale(0.0, max(arm.losses[-1].epoch for arm in drawn), _LEFT, _RIGHT)
    values = [point.loss for arm in drawn for point in arm.losses]
    up = Scale(min(values), max(values), _BOTTOM, _TOP)
    parts = list(_frame(across, up, "loss, nats per token"))
    ends = _apart([up(arm.losses[-1].loss) for arm in drawn])
    for number, (arm, end) in enumerate(zip(drawn, ends, strict=True)):
        tone = f"s{number % _TONES}"
        line = " ".join(f"{across(point.epoch)},{up(point.loss)}" for point in arm.losses)
        parts.append(f'<polyline class="{tone}" points="{line}"/>')
        parts.append(f'<text class="{tone}" x="{_RIGHT + 10}" y="{end + 4}">{escape(plain(arm.arm, _LABEL))}</text>')
    return svg(parts, _HEIGHT, "Training loss by epoch", _WIDTH)


def choice_curve(points: Sequence[Point], chosen: float) -> Markup:
    """Mean warmth by epoch with two standard errors of the lift, what had to be reached, and what was taken."""
    known = [point for point in points if point.warmth is not None]
    if len(known) < 2:
        return Markup("")
    bars = [(p, p.warmth or 0.0, 2 * (p.lift_error or 0.0) if p.epoch else 0.0) for p in known]
    across = Scale(0.0, known[-1].epoch, _LEFT, _RIGHT)
    up = Scale(min(w - e for _, w, e in bars), max(w + e for _, w, e in bars), _BOTTOM, _TOP)
    parts = list(_frame(across, up, "SocioT warmth, nats per token"))
    base = known[0].warmth or 0.0
    lifts = [point.lift for point in known if point.epoch and point.lift is not None]
    if lifts and max(lifts) > 0:
        y = up(base + SHARE * max(lifts))
        parts.append(f'<line class="zero" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_RIGHT + 10}" y="{y + 4}">{SHARE:.0%} of the lift</text>')
    line = " ".join(f"{across(point.epoch)},{up(warmth)}" for point, warmth, _ in bars)
    parts.append(f'<polyline class="s0" points="{line}"/>')
    for point, warmth, error in bars:
        x, y = across(point.epoch), up(warmth)
        if error:
            parts.append(
                f'<line class="bar open" x1="{x}" x2="{x}" y1="{up(warmth - error)}" y2="{up(warmth + error)}"/>'
            )
        taken = point.epoch == chosen
        parts.append(f'<circle class="{"good" if taken else "open"}" cx="{x}" cy="{y}" r="{7 if taken else 4.5}"/>')
    return svg(parts, _HEIGHT, "Mean warmth of replies by epoch; the large point is the epoch that was taken", _WIDTH)


def _frame(across: Scale, up: Scale, quantity: str) -> Iterator[str]:
    yield f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
    yield f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{_BOTTOM}"/>'
    for tick in across.ticks():
        yield f'<text class="tick" x="{across(tick)}" y="{_BOTTOM + 16}">{tick:.3g}</text>'
    for tick in up.ticks(5):
        yield f'<text class="value" x="{_LEFT - 6}" y="{up(tick) + 4}">{_signed(tick)}</text>'
    yield f'<text class="tick" x="{(_LEFT + _RIGHT) / 2}" y="{_BOTTOM + 32}">epoch</text>'
    yield f'<text class="quantity" x="4" y="14">{quantity}</text>'


def _signed(tick: float) -> str:
    return f"{tick + 0.0:.3g}".replace("-", "−")


def _apart(ends: Sequence[float], least: float = 15.0) -> list[float]:
    """Heights of labels, pushed apart so that none lies on another."""
    placed = list(ends)
    order = sorted(range(len(ends)), key=lambda place: ends[place])
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + least)
    over = max(placed, default=0.0) - (_BOTTOM - 4)
    return [end - over for end in placed] if over > 0 else placed
