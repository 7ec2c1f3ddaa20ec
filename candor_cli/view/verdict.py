"""A finished evaluation on the terminal: the verdict in a sentence, its gates, errors by context and belief, worst flips.

Everything is read from verdict.json, so that an embedded run and one elsewhere look the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from candor_cli.view.arms import differences_table, made_table
from candor_cli.view.text import percent, points
from chassis.text import plain

_STYLES = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "INVALID": "magenta"}
_FLIPS = 5
_QUOTE = 240


def show_verdict(console: Console, verdict: Mapping[str, Any]) -> None:
    """Print the whole result."""
    style = _STYLES.get(verdict["verdict"], "cyan")
    title = "no gate" if verdict["verdict"] == "NONE" else verdict["verdict"]
    console.print(
        Panel(Text(plain(verdict["reason"], 1_200)), title=Text(title, style=f"bold {style}"), border_style=style)
    )
    if verdict["gates"]:
        console.print(_gates(verdict["gates"]))
    if verdict.get("made"):
        console.print(made_table(verdict["made"]))
    if len(verdict["comparisons"]) > 1:
        console.print(differences_table(verdict["comparisons"]))
    for comparison in verdict["comparisons"]:
        table = _cells(comparison)
        if table is not None:
            console.print(table)
    _flips(console, verdict)
    for caveat in verdict["caveats"]:
        console.print(Text(f"note: {plain(caveat, 400)}", style="dim"))


def _gates(gates: Sequence[Mapping[str, Any]]) -> Table:
    several = len({gate["candidate"] for gate in gates}) > 1
    table = Table(box=box.SIMPLE_HEAD, title="Gates", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("gate", no_wrap=True)
    if several:
        table.add_column("candidate")
    for column in ("baseline", "candidate", "difference", "margin", "items"):
        table.add_column(column, justify="right")
    table.add_column("decision", no_wrap=True)
    for gate in gates:
        decision = gate["decision"] + (", improved" if gate["improvement"] else "")
        table.add_row(
            gate["gate"] + ("" if gate["critical"] else "*"),
            *([plain(gate["candidate"])] if several else []),
            percent(gate["rate_ref"]),
            percent(gate["rate_trt"]),
            f"{points(gate['estimate'])}\n[{points(gate['lower'])}, {points(gate['upper'])}]",
            f"{gate['margin_pp']:g}",
            f"{gate['n_items']:,}",
            Text(decision, style=_STYLES.get(gate["decision"], "")),
        )
    if not all(gate["critical"] for gate in gates):
        table.caption = "* advisory: never changes the verdict"
        table.caption_justify = "left"
    return table


def _cells(comparison: Mapping[str, Any]) -> Table | None:
    """Errors of both arms by context (rows) and belief (columns)."""
    rows = {(row["task"], row["context"], row["belief"]): row for row in comparison["rows"]}
    beliefs, contexts = comparison["beliefs"], comparison["contexts"]
    if not rows:
        return None
    title = f"Wrong answers in %, {plain(comparison['reference'])} → {plain(comparison['treated'])} (points between)"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("context", no_wrap=True)
    for belief in (*beliefs, "all"):
        table.add_column(belief.replace("_", "_\n", 1), justify="right")
    for context in (*contexts, "all"):
        cells = [rows.get(("overall", context, belief)) for belief in (*beliefs, "all")]
        table.add_row(context, *map(_cell, cells), end_section=context == contexts[-1])
    return table


def _cell(row: Mapping[str, Any] | None) -> Text:
    if row is None:
        return Text("–", style="dim")
    text = f"{100 * row['rate_ref']:.0f} → {100 * row['rate_trt']:.0f}\n({points(row['estimate'])})"
    surely = row["lower"] is not None and row["lower"] > 0
    return Text(text, style="red" if surely else "")


def _flips(console: Console, verdict: Mapping[str, Any]) -> None:
    by_item: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for flip in verdict["flips"]:
        if flip["direction"] == "worse":
            by_item.setdefault((flip["candidate"], flip["task"], flip["item"]), flip)
    worst = list(by_item.values())[:_FLIPS]
    if not worst:
        return
    console.print(Text("Right before, wrong now", style="bold"))
    for flip in worst:
        where = f"{flip['task']} {flip['item']}, {flip['context']}, {flip['belief']}"
        console.print(Text(f"  {plain(where, 200)}", style="cyan"))
        for label, key in (
            ("asked", "prompt"),
            (verdict["baseline"], "baseline_reply"),
            (flip["candidate"], "candidate_reply"),
        ):
            console.print(Text(f"    {plain(label, 24)}: {plain(flip[key], _QUOTE)}"))
