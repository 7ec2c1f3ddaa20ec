"""One paired contrast, analysed: `compare(name, treated, reference, table)`."""

from __future__ import annotations

from services.orchestrator.domain.analysis.cuts import Cuts
from services.orchestrator.domain.analysis.effects import (
    belief_effects,
    mcnemar,
    mean_rows,
    relative_changes,
    statement_ranges,
)
from services.orchestrator.domain.analysis.ibrahim2026.profile import study_of_pairs
from services.orchestrator.domain.analysis.marginal import effects, length_shares
from services.orchestrator.domain.analysis.result import Comparison
from services.orchestrator.domain.analysis.tables import rate_rows
from services.orchestrator.domain.statistics.pairs import PairTable


def compare(name: str, treated: str, reference: str, table: PairTable, confidence: float = 0.95) -> Comparison:
    """Everything that METHOD section 8 reports of one contrast.

    A table without rows, or without a graded pair, gives a Comparison with empty tables and a note.

    Args:
        name: Name of the contrast.
        treated: Treated arm, the `trt` columns.
        reference: Arm compared against, the `ref` columns.
        table: The pairs; early stopping may have left some cells of some items out.
        confidence: Two-sided confidence of the intervals.
    """
    cuts = Cuts.of(table)
    rows = rate_rows(cuts, "error", confidence)
    adoption = rate_rows(cuts, "adopts_belief", confidence)
    return Comparison(
        name=name,
        treated=treated,
        reference=reference,
        confidence=confidence,
        tasks=cuts.tasks,
        contexts=cuts.contexts,
        beliefs=cuts.beliefs,
        n_items=sum(cuts.units.values()),
        n_pairs=table.rows,
        rows=rows,
        study_rows=rate_rows(cuts, "error_study", confidence),
        adoption=adoption,
        refusals=rate_rows(cuts, "refusal", confidence),
        mcnemar=mcnemar(cuts),
        ame=effects(cuts),
        relative=relative_changes(cuts, confidence),
        belief_effects=belief_effects(cuts, confidence),
        warmth=mean_rows(cuts, "warmth", confidence),
        length=mean_rows(cuts, "length", confidence),
        length_shares=length_shares(cuts),
        statements=statement_ranges(cuts),
        study=study_of_pairs(table, treated),
        notes=_notes(cuts, bool(rows)),
    )


def _notes(cuts: Cuts, graded: bool) -> tuple[str, ...]:
    found = []
    if not graded:
        found.append("no pair has both replies graded: there is nothing to compare")
    if cuts.table.clustered:
        found.append(f"items are grouped in {cuts.table.unit_count} clusters, which are the units of every interval")
    if len(cuts.tasks) > 1:
        found.append("overall is the mean of the task means; a gate pools the items of its tasks with equal weight")
    return tuple(found)
