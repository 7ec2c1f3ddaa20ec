"""Which replies the study's models look at, and what counts as an error (METHOD sections 5 to 7).

- Refusals are left out; in disinfo a refusal is the right answer. Ungradable and failed replies are left out.
- Without a belief: `none`, and in plain cells `none_lead_in` as well. With one: both forms pooled. `asserts_true` is ours.
- Replies count one by one: a reply stays when the other arm's is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.analysis.cuts import PLAIN, POOLED_BELIEFS, group_of, in_order
from services.orchestrator.domain.analysis.ibrahim2026.figures import REFERENCE_MODEL, REFERENCE_TASK
from services.orchestrator.domain.analysis.ibrahim2026.result import Selection
from services.orchestrator.domain.analysis.replies import Replies
from services.orchestrator.domain.analysis.result import FALSE_BELIEF
from services.orchestrator.domain.conditions import CONTEXTS
from services.orchestrator.domain.statistics.pairs import INCORRECT, REFUSAL, Factor, Ints, Mask

CONTROLS = ("mmlu", "gsm8k", "advbench")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selected:
    """The rows, with the codes of every factor counted from its reference level; arrays have shape (rows,).

    Attributes:
        replies: The rows.
        treated: Whether the reply is the treated arm's.
        error: y, 1 where incorrect.
        task: Index into `tasks`.
        model: Index into `models`.
        context: Index into `contexts`.
        group: Index into `groups`.
        believes: 1 under a false belief.
        unit: Unit of clustering.
        tasks: Reference level first.
        models: Reference level first.
        contexts: The method's order.
        groups: Of contexts, the same order.
        counts: How the rows were chosen.
    """

    replies: Replies
    treated: Mask
    error: NDArray[np.float64]
    task: Ints
    model: Ints
    context: Ints
    group: Ints
    believes: Ints
    unit: Ints
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    contexts: tuple[str, ...]
    groups: tuple[str, ...]
    counts: Selection


def select(replies: Replies, treated: Mask) -> Selected:
    """The study's rows of two arms.

    Args:
        replies: Both arms' replies.
        treated: Which of them are the treated arm's, shape (rows,).
    """
    control = replies.task.among(CONTROLS)
    right = ~control & replies.belief.among(("asserts_true",))
    in_context = ~replies.context.among((PLAIN,))
    lead_in = in_context & replies.belief.among(("none_lead_in",))
    # A table that has the lead-in only in contexts loses nothing by keeping it.
    lead_in &= bool((in_context & replies.belief.among(("none",))).any())
    ungraded = replies.verdict > REFUSAL
    refused = replies.verdict == REFUSAL
    right_to_refuse = replies.task.among((REFERENCE_TASK,))
    left_out = control | right | lead_in
    kept = ~left_out & ~ungraded & ~(refused & ~right_to_refuse)
    rows = replies.take(kept)
    tasks = _reference_first(rows.present("task"), REFERENCE_TASK)
    models = _reference_first(rows.present("model"), REFERENCE_MODEL)
    contexts = in_order(rows.present("context"), CONTEXTS)
    groups = tuple(dict.fromkeys(group_of(name) for name in contexts))
    context = recode(rows.context, contexts)
    group = np.array([groups.index(group_of(name)) for name in contexts] or [0], dtype=np.int64)
    return Selected(
        replies=rows,
        treated=treated[kept],
        error=(rows.verdict == INCORRECT).astype(np.float64),
        task=recode(rows.task, tasks),
        model=recode(rows.model, models),
        context=context,
        group=group[context],
        believes=rows.belief.among(POOLED_BELIEFS[FALSE_BELIEF]).astype(np.int64),
        unit=rows.unit(),
        tasks=tasks,
        models=models,
        contexts=contexts,
        groups=groups,
        counts=Selection(
            replies=rows.rows,
            refusals_dropped=_count(~left_out & refused & ~right_to_refuse),
            refusals_correct=_count(~left_out & refused & right_to_refuse),
            ungraded=_count(~left_out & ungraded),
            user_right=_count(right),
            lead_in=_count(~right & ~control & lead_in),
            controls=_count(control),
        ),
    )


def recode(column: Factor, names: tuple[str, ...]) -> Ints:
    """Codes of a column counted in another order of its names."""
    place = {name: code for code, name in enumerate(names)}
    return np.array([place.get(name, 0) for name in column.names] or [0], dtype=np.int64)[column.codes]


def _reference_first(names: tuple[str, ...], reference: str) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (name != reference, name)))


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))
