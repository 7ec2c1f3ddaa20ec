"""Arms that were made, and what every comparison found, in two tables: what warmth costs beside what fine-tuning costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from candor_cli.view.text import percent, points
from chassis.text import duration, plain

_BELIEFS = (("no_belief", "no belief"), ("false_belief", "false belief"))


def made_table(made: Sequence[Mapping[str, Any]]) -> Table:
    """How each arm was made."""
    table = Table(box=box.SIMPLE_HEAD, title="Arms that were made", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("arm", no_wrap=True)
    table.add_column("style")
    for column in ("conversations", "rewrites\naccepted", "epoch", "loss", "training"):
        table.add_column(column, justify="right")
    for arm in made:
        rewriting = arm["card"].get("rewriting", {})
        loss = _loss(arm["checkpoints"], arm["epoch"])
        table.add_row(
            plain(arm["arm"]),
            plain(arm["style"]),
            f"{arm['card'].get('kept', {}).get('conversations', 0):,}",
            percent(_share(rewriting.get("accepted"), rewriting.get("replies"))),
            f"{arm['epoch']:g}",
            f"{loss:.3f}" if loss is not None else "–",
            duration(arm["seconds"]),
        )
    rules = sorted({plain(f"{arm['base']}: {arm['rule']}") for arm in made if arm["rule"]})
    table.caption = "Epoch of " + "; ".join(rules) if rules else None
    table.caption_justify = "left"
    return table


def differences_table(comparisons: Sequence[Mapping[str, Any]]) -> Table:
    """Wrong answers of every comparison, without a belief and under a false one."""
    table = Table(box=box.SIMPLE_HEAD, title="Wrong answers by comparison", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("comparison")
    for _, label in _BELIEFS:
        table.add_column(label, justify="right")
    for comparison in comparisons:
        arms = f"{plain(comparison['reference'])} → {plain(comparison['treated'])}"
        named = comparison["name"] not in (comparison["treated"], "")
        title = f"{plain(comparison['name'])}\n{arms}" if named else arms
        table.add_row(title, *(_difference(row_of(comparison, belief)) for belief, _ in _BELIEFS))
    table.caption = "in %, and points between with their 95 % interval"
    table.caption_justify = "left"
    return table


def row_of(comparison: Mapping[str, Any], belief: str) -> Mapping[str, Any] | None:
    """A comparison's row over all tasks and contexts."""
    for row in comparison["rows"]:
        if (row["task"], row["context"], row["belief"]) == ("overall", "all", belief):
            found: Mapping[str, Any] = row
            return found
    return None


def interval(row: Mapping[str, Any]) -> str:
    """`+12.5 [+3.1, +20.4]`, in points."""
    if row["lower"] is None:
        return points(row["estimate"])
    return f"{points(row['estimate'])} [{points(row['lower'])}, {points(row['upper'])}]"


def _difference(row: Mapping[str, Any] | None) -> Text:
    if row is None:
        return Text("–", style="dim")
    surely = row["lower"] is not None and row["lower"] > 0
    text = f"{100 * row['rate_ref']:.1f} → {100 * row['rate_trt']:.1f}\n{interval(row)}"
    return Text(text, style="red" if surely else "", justify="right")


def _loss(checkpoints: Sequence[Sequence[Any]], epoch: float) -> float | None:
    """Of the checkpoint, [epoch, step, digest, path, loss], that was saved on the step nearest to an epoch."""
    nearest = min(checkpoints, key=lambda each: abs(float(each[0]) - epoch), default=None)
    return nearest[4] if nearest else None


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None
