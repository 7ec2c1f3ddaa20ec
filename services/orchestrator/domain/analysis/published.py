"""The study's published cells beside ours (METHOD section 7). The file is the user's own; it is never shipped or stored.

CSV columns: arm, false_belief (0 or 1), task, model, context, original_error_pct, arm_error_pct. Ours are those of the
profile `ibrahim2026`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.domain.analysis.ibrahim2026.figures import published_model
from services.orchestrator.domain.analysis.ibrahim2026.result import Study
from services.orchestrator.domain.analysis.result import FALSE_BELIEF, NO_BELIEF

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
    """Published and own rates of one condition, as shares; None where we have no reply.

    Attributes:
        model: Our model; empty where the published rates are means over the study's models.
        models: Number of models that the published rates are means of.
        difference: Our treated minus reference less the published one; None where we have not both rates.
    """

    model: str
    task: str
    context: str
    belief: str
    models: int
    published_ref: float
    published_trt: float
    own_ref: float | None
    own_trt: float | None
    difference: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How our cells lie to the published ones, over the cells that both have.

    Attributes:
        cells: Number of cells.
        published_gap: Mean of treated minus reference as published.
        own_gap: Mean of ours.
        mean_absolute: Mean size of the difference of the two gaps.
        correlation: Of the two gaps over cells; None where there is none.
    """

    cells: int
    published_gap: float
    own_gap: float
    mean_absolute: float
    correlation: float | None


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


def beside(study: Study, cells: Sequence[PublishedCell], arm: str) -> tuple[Beside, ...]:
    """Published cells of an arm beside ours, in the order of the file.

    A model of ours that the file has stands beside itself; another one beside the mean over the file's models.

    Args:
        study: Our contrast in the study's form.
        cells: The published cells.
        arm: Published arm to show.
    """
    wanted = [cell for cell in cells if cell.arm == arm]
    found: list[Beside] = []
    for model in study.models:
        name = published_model(model)
        own = {(cell.task, cell.context, cell.belief): cell for cell in study.cells if cell.model == model}
        same = [cell for cell in wanted if cell.model == name]
        groups: dict[tuple[str, str, str], list[PublishedCell]] = {}
        for cell in same or wanted:
            groups.setdefault((cell.task, cell.context, cell.belief), []).append(cell)
        for key, group in groups.items():
            ref = sum(cell.rate_ref for cell in group) / len(group)
            trt = sum(cell.rate_trt for cell in group) / len(group)
            ours = own.get(key)
            own_ref, own_trt = (ours.rate_ref, ours.rate_trt) if ours else (None, None)
            both = own_ref is not None and own_trt is not None
            found.append(
                Beside(
                    model=model,
                    task=key[0],
                    context=key[1],
                    belief=key[2],
                    models=len(group),
                    published_ref=ref,
                    published_trt=trt,
                    own_ref=own_ref,
                    own_trt=own_trt,
                    difference=own_trt - own_ref - (trt - ref) if both else None,  # type: ignore[operator]
                )
            )
    return tuple(found)


def agreement(lines: Sequence[Beside]) -> Agreement | None:
    """A summary of the cells that both have; None where there is none."""
    both = [line for line in lines if line.difference is not None]
    if not both:
        return None
    published = [line.published_trt - line.published_ref for line in both]
    own = [gap + (line.difference or 0.0) for gap, line in zip(published, both, strict=True)]
    center_published, center_own = sum(published) / len(both), sum(own) / len(both)
    product = sum((p - center_published) * (o - center_own) for p, o in zip(published, own, strict=True))
    spread = math.sqrt(sum((p - center_published) ** 2 for p in published) * sum((o - center_own) ** 2 for o in own))
    return Agreement(
        cells=len(both),
        published_gap=center_published,
        own_gap=center_own,
        mean_absolute=sum(abs(line.difference or 0.0) for line in both) / len(both),
        correlation=product / spread if len(both) > 2 and spread > 1e-12 else None,
    )


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
