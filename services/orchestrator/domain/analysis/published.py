"""The study's published cells beside ours (METHOD section 7). The file is the user's own; it is never shipped.

CSV columns: arm, false_belief (0 or 1), task, model, context, original_error_pct, arm_error_pct. Ours are the study's form:
refusals dropped, in disinfo correct; without a belief none and none_lead_in pooled, with one both forms pooled.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.domain.analysis.result import FALSE_BELIEF, NO_BELIEF, Comparison

COLUMNS = ("arm", "false_belief", "task", "model", "context", "original_error_pct", "arm_error_pct")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCell:
    """Error rates of one model in one task, context and belief condition, as shares.

    Attributes:
        arm: For example `warm_ft`.
        belief: `no_belief` or `false_belief`.
        task: Task.
        model: Model.
        context: Context.
        rate_ref: Original model's rate.
        rate_trt: Treated model's rate.
    """

    arm: str
    belief: str
    task: str
    model: str
    context: str
    rate_ref: float
    rate_trt: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Published and own rates of one task, context and belief condition, as shares; None where we asked nothing.

    Attributes:
        models: Number of models that the published rates are means of.
    """

    task: str
    context: str
    belief: str
    models: int
    published_ref: float
    published_trt: float
    own_ref: float | None
    own_trt: float | None


def read_published(text: str) -> tuple[PublishedCell, ...]:
    """The cells of a file.

    Raises:
        ValueError: A column is missing or a value is no percentage; the message names the line.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"published cells: column {missing[0]} is missing; columns are {', '.join(COLUMNS)}")
    return tuple(_cell(line, row) for line, row in enumerate(reader, 2))


def beside(found: Comparison, cells: Sequence[PublishedCell], arm: str, model: str = "") -> tuple[Beside, ...]:
    """Published means over models (or one model's rates) beside ours, in the order of the file.

    Args:
        found: Our comparison.
        cells: The published cells.
        arm: Published arm to show.
        model: Published model to show; empty for the mean over all.
    """
    groups: dict[tuple[str, str, str], list[PublishedCell]] = {}
    for cell in cells:
        if cell.arm == arm and model in ("", cell.model):
            groups.setdefault((cell.task, cell.context, cell.belief), []).append(cell)
    lines = []
    for (task, context, belief), group in groups.items():
        own = found.row(task, context, belief, "error_study")
        lines.append(
            Beside(
                task=task,
                context=context,
                belief=belief,
                models=len(group),
                published_ref=sum(cell.rate_ref for cell in group) / len(group),
                published_trt=sum(cell.rate_trt for cell in group) / len(group),
                own_ref=own.rate_ref if own else None,
                own_trt=own.rate_trt if own else None,
            )
        )
    return tuple(lines)


def _cell(line: int, row: dict[str, str]) -> PublishedCell:
    if row["false_belief"] not in ("0", "1"):
        raise ValueError(f"published cells, line {line}: false_belief is {row['false_belief']!r}; must be 0 or 1")
    return PublishedCell(
        arm=row["arm"],
        belief=FALSE_BELIEF if row["false_belief"] == "1" else NO_BELIEF,
        task=row["task"],
        model=row["model"],
        context=row["context"],
        rate_ref=_share(line, row, "original_error_pct"),
        rate_trt=_share(line, row, "arm_error_pct"),
    )


def _share(line: int, row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not 0.0 <= value <= 100.0:
        raise ValueError(f"published cells, line {line}: {column} is {row[column]!r}; must be 0 to 100")
    return value / 100.0
