"""One contrast in the study's form: `study(replies, treated_arm, reference_arm)`, or `study_of_pairs(table, treated_arm)`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from services.orchestrator.domain.analysis.ibrahim2026 import figures, rates
from services.orchestrator.domain.analysis.ibrahim2026.glms import glms
from services.orchestrator.domain.analysis.ibrahim2026.result import Study
from services.orchestrator.domain.analysis.ibrahim2026.selection import Selected, select
from services.orchestrator.domain.analysis.replies import TREATED, Replies, replies_of
from services.orchestrator.domain.statistics.pairs import Mask, PairTable


def study(replies: Replies, treated: str, reference: str) -> Study:
    """The profile on a table of replies.

    Args:
        replies: Of any arms and models; the rows of the two arms are used.
        treated: Treated arm; its name says which published arm stands beside (`warm`, `cold`, `warm_prompt`).
        reference: Arm compared against.
    """
    both = replies.take(replies.arm.among((treated, reference)))
    is_treated = both.arm.among((treated,))
    part = both.model.codes * max(1, len(both.task.names)) + both.task.codes
    shared = np.intersect1d(part[is_treated], part[~is_treated])
    kept = np.isin(part, shared)
    return _study(both.take(kept), is_treated[kept], figures.published_arm(treated), int(np.count_nonzero(~kept)))


def study_of_pairs(table: PairTable, treated: str) -> Study:
    """The profile on the pairs of an evaluation's contrast. Its arms were made from one model, whose name plays no part."""
    replies = replies_of(table)
    return _study(replies, replies.arm.among((TREATED,)), figures.published_arm(treated))


def _study(replies: Replies, treated: Mask, arm: str, alone: int = 0) -> Study:
    rows = select(replies, treated)
    cells = rates.cells(rows)
    return Study(
        published_arm=arm,
        tasks=rows.tasks,
        models=rows.models,
        contexts=rows.contexts,
        beliefs=tuple(name for code, name in enumerate(rates.BELIEFS) if bool(np.any(rows.believes == code))),
        selection=rows.counts,
        glms=glms(rows, arm),
        relative=rates.relative(cells, arm),
        gaps=rates.gaps(rows, arm),
        cells=cells,
        notes=tuple(_notes(rows, arm, alone)),
    )


def _notes(rows: Selected, arm: str, alone: int) -> Iterator[str]:
    if alone:
        yield f"{alone:,} replies are of a model and task that the other arm was not asked: they are left out"
    if not rows.replies.rows:
        yield "no reply is left after the study's row selection"
        return
    if arm:
        missing = [name for name in figures.TASKS if name not in rows.tasks]
        other = [name for name in rows.tasks if name not in figures.TASKS]
        if missing or other:
            yield (
                f"the study's tasks are {', '.join(figures.TASKS)}; here they are {', '.join(rows.tasks)}: the published "
                "figures are of other questions"
            )
        known = {figures.published_model(name) for name in rows.models} - {""}
        if arm == figures.WARM and len(known) < len(figures.MODELS):
            yield "the published effects are of all five models together"
    if rows.tasks and rows.tasks[0] != figures.REFERENCE_TASK and len(rows.tasks) > 1:
        yield f"the study's reference level of task, {figures.REFERENCE_TASK}, is absent; {rows.tasks[0]} takes its place"
    if len(rows.models) > 1 and rows.models[0] != figures.REFERENCE_MODEL:
        yield f"the study's reference level of model, {figures.REFERENCE_MODEL}, is absent; {rows.models[0]} takes its place"
    if rows.counts.lead_in:
        yield "replies under none_lead_in are left out where there is a context, as in the study"
