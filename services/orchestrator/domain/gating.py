"""From a document and its workload to what the gate needs: rules, design, and which cells are still asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.domain.gate.design import Design, planned_variance
from services.orchestrator.domain.gate.result import Progress
from services.orchestrator.domain.gate.rules import (
    DEFAULT_GATES,
    GateDocumentError,
    GateSet,
    GateSettings,
    build_gates,
)
from services.orchestrator.domain.spec import Planning, Spec
from services.orchestrator.domain.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Gating:
    """A document's gate. `design` is None for a research document.

    Attributes:
        gates: Rules, dropped gates and notes.
        design: What is fixed before the first reply.
    """

    gates: GateSet
    design: Design | None


def gating(spec: Spec, workload: Workload, judge_bias: Mapping[str, float]) -> Gating:
    """The gate of a document over the cells that its items really have.

    Args:
        spec: The document.
        workload: Its slots.
        judge_bias: Measured judge bias by candidate, as a share; others have the uncalibrated value.

    Raises:
        CandorError: BAD_DOCUMENT, every problem at once.
    """
    if spec.gate.mode == "none":
        return Gating(gates=GateSet(rules=(), dropped=(), notes=()), design=None)
    every = tuple(name for name in DEFAULT_GATES if name not in spec.gate.advisory)
    settings = GateSettings(
        margin_pp=spec.gate.margins_pp.get("false_belief"),
        margins_pp={name: margin for name, margin in spec.gate.margins_pp.items() if name != "false_belief"},
        alpha=spec.gate.alpha,
        stopping=spec.gate.stopping,
        fail_on=spec.gate.fail_on,
        critical=() if spec.gate.critical == every else spec.gate.critical,
        advisory=spec.gate.advisory,
    )
    try:
        gates = build_gates(workload.contexts, workload.beliefs, settings)
    except GateDocumentError as error:
        raise _bad([FieldViolation(name, text) for name, text in error.problems]) from error
    asked_for = [FieldViolation(f"gate.{name}", why) for name, why in gates.dropped if name in spec.gate.explicit]
    if asked_for:
        raise _bad(asked_for)
    cells = {rule.name: _cells_per_item(workload, rule.cells) * spec.repeats for rule in gates.rules}
    design = Design(
        rules=gates.rules,
        candidates=spec.gate.candidates,
        alpha=spec.gate.alpha,
        stopping=spec.gate.stopping,
        judge_bias=dict(judge_bias),
        variances={
            name: planned_variance(spec.planning.discordance, spec.planning.rho, max(1.0, pairs))
            for name, pairs in cells.items()
        },
        variances_known=(spec.planning.discordance, spec.planning.rho) != (Planning().discordance, Planning().rho),
        repeats=spec.repeats,
        judge=spec.judge is not None,
    )
    return Gating(gates=gates, design=design)


def wanted(progress: Progress | None, arm: str, context: str, belief: str) -> bool:
    """Whether an arm is still asked in a cell: a candidate while its gates need it, all others while any candidate's do."""
    if progress is None:
        return True
    if arm in progress.closed_cells:
        return progress.needs(arm, context, belief)
    return any(progress.needs(candidate, context, belief) for candidate in progress.closed_cells)


def _cells_per_item(workload: Workload, cells: frozenset[tuple[str, str]]) -> float:
    """Mean number of a gate's cells over the items that have any."""
    counts: dict[int, int] = {}
    for slot in workload.slots:
        if slot.repeat == 0 and (slot.cell.context, slot.cell.belief) in cells:
            counts[slot.item] = counts.get(slot.item, 0) + 1
    return sum(counts.values()) / len(counts) if counts else 1.0


def _bad(problems: Sequence[FieldViolation]) -> CandorError:
    return invalid("the gate cannot be built", problems, Reason.BAD_DOCUMENT)
