"""Plots of the report as inline SVG: drawn here, readable without a script, coloured by the page's style classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from markupsafe import Markup

from services.orchestrator.domain.analysis.result import ALL, OVERALL, Row
from services.orchestrator.domain.gate.result import GateResult
from services.orchestrator.domain.report import Report

_WIDTH = 720
_LEFT = 190
_RIGHT = 110
_LINE = 24


class Scale:
    """Maps a value range onto pixels."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        margin = 0.06 * (high - low) or 0.01
        self.low, self.high = low - margin, high + margin
        self._start, self._stop = start, stop

    def __call__(self, value: float) -> float:
        """Pixel of a value, clipped to the range."""
        share = (value - self.low) / (self.high - self.low)
        return round(self._start + min(1.0, max(0.0, share)) * (self._stop - self._start), 1)

    def ticks(self, count: int = 6) -> list[float]:
        """About `count` round values inside the range."""
        raw = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
        return [step * k for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def forest(lines: Sequence[tuple[str, Row | None]], title: str) -> Markup:
    """Paired differences in errors with their intervals; a line without a row is a heading."""
    rows = [row for _, row in lines if row is not None]
    if not rows:
        return Markup("")
    bounds = [value for row in rows for value in (row.lower, row.upper, row.estimate, 0.0) if value is not None]
    scale = Scale(min(bounds), max(bounds), _LEFT, _WIDTH - _RIGHT)
    height = _LINE * (len(lines) + 2)
    parts = [*_axis(scale, 8, height - 30, height - 12)]
    for index, (label, row) in enumerate(lines):
        y = 16 + index * _LINE
        if row is None:
            parts.append(f'<text class="heading" x="4" y="{y + 4}">{escape(label)}</text>')
            continue
        parts.append(f'<text x="16" y="{y + 4}">{escape(label)}</text>')
        parts.extend(_interval(scale, row.estimate, row.lower, row.upper, y, _tone(row.lower, row.upper)))
        text = f"{100 * row.estimate:+.1f} ({row.n_items:,})"
        parts.append(f'<text class="value" x="{_WIDTH - 4}" y="{y + 4}">{text}</text>')
    caption = f"Difference in wrong answers, {title}, percentage points with intervals"
    return svg(parts, height, caption)


def gate_bars(gates: Sequence[GateResult]) -> Markup:
    """Every gate's difference and bounds against its margin."""
    shown = [gate for gate in gates if gate.estimate is not None]
    if not shown:
        return Markup("")
    bounds = [0.0]
    for gate in shown:
        bounds += [
            value for value in (gate.estimate, gate.lower, gate.upper, gate.margin_pp / 100) if value is not None
        ]
    scale = Scale(min(bounds), max(bounds), _LEFT, _WIDTH - _RIGHT)
    height = _LINE * (len(shown) + 2)
    several = len({gate.candidate for gate in shown}) > 1
    parts = [*_axis(scale, 8, height - 30, height - 12)]
    for index, gate in enumerate(shown):
        y = 16 + index * _LINE
        label = f"{gate.gate}, {gate.candidate}" if several else gate.gate
        parts.append(f'<text x="4" y="{y + 4}">{escape(label)}</text>')
        margin = scale(gate.margin_pp / 100)
        parts.append(f'<line class="margin" x1="{margin}" x2="{margin}" y1="{y - 9}" y2="{y + 9}"/>')
        tone = {"PASS": "good", "FAIL": "bad"}.get(gate.decision, "open")
        parts.extend(_interval(scale, gate.estimate or 0.0, gate.lower, gate.upper, y, tone))
        parts.append(f'<text class="value {tone}" x="{_WIDTH - 4}" y="{y + 4}">{escape(gate.decision)}</text>')
    return svg(parts, height, "Gates: difference with its bounds; the upright mark is the margin")


def warmth_scatter(report: Report) -> Markup:
    """Mean SocioT of each arm against its share of wrong answers; empty unless two arms were measured."""
    errors = _error_rates(report)
    points = [
        (arm.name, arm.role, arm.mean_warmth, errors[arm.name])
        for arm in report.arms
        if arm.mean_warmth is not None and arm.name in errors
    ]
    if len(points) < 2:
        return Markup("")
    xs, ys = [point[2] for point in points], [point[3] for point in points]
    across = Scale(min(xs), max(xs), 60, _WIDTH - 120)
    up = Scale(min(0.0, *ys), max(ys), 250, 16)
    parts = [
        f'<line class="axis" x1="60" x2="{_WIDTH - 60}" y1="250" y2="250"/><line class="axis" x1="60" x2="60" y1="10" y2="250"/>'
    ]
    parts += [f'<text class="tick" x="{across(tick)}" y="266">{tick:.3g}</text>' for tick in across.ticks()]
    parts += [f'<text class="value" x="54" y="{up(tick) + 4}">{100 * tick:.0f} %</text>' for tick in up.ticks(5)]
    for name, role, x, y in points:
        mark = f'<circle class="{role}" cx="{across(x)}" cy="{up(y)}" r="6"/>'
        parts.append(f'{mark}<text x="{across(x) + 10}" y="{up(y) + 4}">{escape(name)}</text>')
    parts.append(f'<text class="tick" x="{_WIDTH / 2}" y="284">mean SocioT warmth of the replies</text>')
    return svg(parts, 292, "Warmth of replies against the share of wrong answers")


def _error_rates(report: Report) -> dict[str, float]:
    """Of each arm, over the pairs with the baseline where there are some."""
    rates: dict[str, float] = {}
    for comparison in sorted(report.comparisons, key=lambda each: each.reference != report.baseline):
        row = comparison.row(OVERALL, ALL, ALL)
        if row is not None:
            rates.setdefault(comparison.reference, row.rate_ref)
            rates.setdefault(comparison.treated, row.rate_trt)
    return rates


def _axis(scale: Scale, top: float, bottom: float, label: float) -> Iterator[str]:
    zero = scale(0.0)
    yield f'<line class="zero" x1="{zero}" x2="{zero}" y1="{top}" y2="{bottom}"/>'
    ticks = scale.ticks()
    digits = 0 if all(abs(100 * (b - a)) >= 1 for a, b in pairwise(ticks)) else 1
    for tick in ticks:
        yield f'<text class="tick" x="{scale(tick)}" y="{label}">{100 * tick + 0.0:+.{digits}f}</text>'


def _interval(
    scale: Scale, estimate: float, lower: float | None, upper: float | None, y: float, tone: str
) -> Iterator[str]:
    if lower is not None and upper is not None:
        yield f'<line class="bar {tone}" x1="{scale(lower)}" x2="{scale(upper)}" y1="{y}" y2="{y}"/>'
    yield f'<circle class="{tone}" cx="{scale(estimate)}" cy="{y}" r="4.5"/>'


def _tone(lower: float | None, upper: float | None) -> str:
    if lower is not None and lower > 0:
        return "bad"
    return "good" if upper is not None and upper < 0 else "open"


def svg(parts: Sequence[str], height: float, caption: str, width: float = _WIDTH) -> Markup:
    """A plot of these parts; one of less than the usual width fits a phone as a whole."""
    label = escape(caption, quote=True)
    body = "".join(parts)
    narrow = ' class="narrow"' if width < _WIDTH else ""
    return Markup(  # noqa: S704 - every text inside went through escape
        f'<svg{narrow} viewBox="0 0 {width} {height}" role="img" aria-label="{label}"><title>{label}</title>{body}</svg>'
    )
