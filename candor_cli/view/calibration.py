"""A judge's measured error on the terminal."""

from __future__ import annotations

import json
from typing import Any

from candor.orchestrator.v1 import orchestrator_pb2
from rich import box
from rich.console import Console
from rich.table import Table

from candor_cli.view.text import percent
from chassis.text import plain


def show_calibration(response: orchestrator_pb2.CalibrateJudgeResponse) -> None:
    """Agreement, kappa and confusion, overall and by arm."""
    value: dict[str, Any] = json.loads(response.calibration_json)
    console = Console()
    console.print(_summary(value))
    console.print(_confusion(value["overall"]["confusion"]))
    print(f"judge {plain(value['judge'])}, {response.judge_digest}")
    print(plain(value["use"], 400))


def _summary(value: dict[str, Any]) -> Table:
    table = Table("labelled replies", "n", "agreement", "kappa", "error", box=box.SIMPLE_HEAD)
    for name, part in (("all", value["overall"]), *sorted(value["arms"].items())):
        kappa = part["kappa"]
        table.add_row(
            plain(name),
            f"{part['n']:,}",
            _interval(part["agreement"]),
            "–" if kappa["value"] is None else f"{kappa['value']:.2f}",
            _interval(part["error"]),
        )
    return table


def _interval(rate: dict[str, Any]) -> str:
    return f"{percent(rate['value'])} ({percent(rate['lower'])} to {percent(rate['upper'])})"


def _confusion(counts: dict[str, dict[str, int]]) -> Table:
    columns = list(dict.fromkeys(name for row in counts.values() for name in row))
    table = Table("label \\ judge", *columns, box=box.SIMPLE_HEAD)
    for label, row in counts.items():
        table.add_row(label, *(f"{row.get(name, 0):,}" for name in columns))
    return table
