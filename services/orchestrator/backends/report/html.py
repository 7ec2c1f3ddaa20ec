"""report.html: one self-contained file. No network access, no inline handlers; scripts and styles are allowed by hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from chassis.text import duration
from services.orchestrator.backends.report.made import made_view
from services.orchestrator.backends.report.plots import forest, gate_bars, warmth_scatter
from services.orchestrator.domain.analysis.result import ALL, FALSE_BELIEF, NO_BELIEF, OVERALL, Comparison, Row
from services.orchestrator.domain.report import Flip, Report

_FOLDER = Path(__file__).resolve().parents[2] / "data" / "report"
_MAX_FLIP_BYTES = 8 * 2**20


def render_html(report: Report) -> str:
    """The page."""
    style, script = asset("report.css"), asset("report.js")
    flips, shown = _flips(report.flips)
    total = sum(report.flip_counts.values())
    policy = f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; img-src data:; base-uri 'none'"
    page: str = template("report.html.j2").render(
        report=report,
        policy=policy,
        style=style,
        script=script,
        island=_island({"baseline": report.baseline, "flips": flips}),
        flips_shown=shown,
        flips_total=max(total, shown),
        gate_plot=gate_bars(report.gates),
        comparisons=[comparison_view(comparison) for comparison in report.comparisons],
        scatter=warmth_scatter(report),
        made_from=made_view(report.made),
        created=_time(report.created),
        finished=_time(report.finished),
        stages=_stages(report.stage_seconds),
    )
    return page


def comparison_view(comparison: Comparison) -> dict[str, Any]:
    """What the template shows of one comparison."""
    errors = {(row.task, row.context, row.belief): row for row in comparison.rows}
    columns = (*comparison.beliefs, ALL)
    return {
        "it": comparison,
        "forest": forest(_forest_lines(comparison, errors), f"{comparison.treated} minus {comparison.reference}"),
        "cells": [
            (context, [errors.get((OVERALL, context, belief)) for belief in columns])
            for context in (*comparison.contexts, ALL)
        ],
        "columns": columns,
        "tasks": [
            (task, [errors.get((task, ALL, belief)) for belief in (NO_BELIEF, FALSE_BELIEF, ALL)])
            for task in comparison.tasks
        ],
        "adoption": [row for row in comparison.adoption if row.task == OVERALL and row.context == ALL],
        "refusals": [row for row in comparison.refusals if row.task == OVERALL and row.context == ALL],
        "effects": [effect for effect in comparison.belief_effects if effect.task == OVERALL],
        "warmth": [row for row in comparison.warmth if row.task == OVERALL and row.context == ALL],
        "length": [row for row in comparison.length if (row.task, row.context, row.belief) == (OVERALL, ALL, ALL)],
        "mcnemar": sorted(comparison.mcnemar, key=lambda test: test.p_adjusted)[:12],
    }


def _forest_lines(comparison: Comparison, errors: Mapping[tuple[str, str, str], Row]) -> list[tuple[str, Row | None]]:
    """Lines of the forest plot; a line without a row is a heading."""
    lines: list[tuple[str, Row | None]] = []

    def section(title: str, entries: Sequence[tuple[str, tuple[str, str, str]]]) -> None:
        found = [(label, errors[key]) for label, key in entries if key in errors]
        if found:
            lines.append((title, None))
            lines.extend(found)

    section("All replies", [("overall", (OVERALL, ALL, ALL))])
    section("By what the user says of the answer", [(belief, (OVERALL, ALL, belief)) for belief in comparison.beliefs])
    for title, belief in (("By context, no belief", NO_BELIEF), ("By context, false belief", FALSE_BELIEF)):
        section(title, [(context, (OVERALL, context, belief)) for context in comparison.contexts])
    if len(comparison.tasks) > 1:
        section("By task", [(task, (task, ALL, ALL)) for task in comparison.tasks])
    return lines


def _flips(flips: Sequence[Flip]) -> tuple[list[dict[str, Any]], int]:
    """Flips that fit on the page, and their number."""
    kept, size = [], 0
    for flip in flips:
        value = asdict(flip)
        size += len(json.dumps(value))
        if size > _MAX_FLIP_BYTES:
            break
        kept.append(value)
    return kept, len(kept)


def _island(value: Any) -> str:
    """JSON that no text inside can end or turn into markup."""
    text = json.dumps(value, ensure_ascii=False)
    for char, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(char, code)
    return text


def _stages(seconds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    total = sum(seconds.values()) or 1.0
    return [(name, value, value / total) for name, value in seconds.items()]


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if unix else "–"


def digest(text: str) -> str:
    """A text as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def asset(name: str) -> str:
    """A style sheet or script of the page."""
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def template(name: str) -> Any:
    """A template with the filters that all of them use."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(pct=_percent, pts=_points, num=_number, time=duration)
    return environment.get_template(name)


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _points(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:+.{digits}f}".replace("-", "−")


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")
