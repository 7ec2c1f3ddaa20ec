"""What a reader must know before trusting a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from services.orchestrator.domain.gate.result import Progress
from services.orchestrator.service.run.state import Run


def caveats(run: Run, progress: Progress | None) -> Iterator[str]:
    """One sentence each."""
    spec = run.spec
    workload = run.prepared.workload
    if run.row.limit:
        pool = sum(task.items for task in workload.tasks)
        yield f"a quick look: {len(workload.items):,} of {pool:,} items were asked (--limit)"
    if run.row.lineage != run.row.id:
        yield f"replies are those of evaluation {run.row.lineage}, looked at under other gate or report settings"
    for gate, why in run.prepared.gating.gates.dropped:
        yield f"the gate {gate} was left out: it {why}"
    yield from run.prepared.gating.gates.notes
    for subject in run.subjects:
        if subject.arm.own_sampling:
            yield f"{subject.name} is sampled with settings of its own"
        omitted = set(subject.found.sampling.omit) - set(subject.arm.sampling.omit)
        if omitted:
            yield f"{subject.name} refused {', '.join(sorted(omitted))}, so it was not sent"
        counts = run.teller.counts.arms[subject.name]
        if counts.done and counts.cut / counts.done > 0.05:
            yield f"{counts.cut / counts.done:.0%} of the replies of {subject.name} were cut at max_tokens"
        if counts.reused and subject.arm.reuse_seconds is not None and not subject.shared:
            yield f"{counts.reused:,} replies of {subject.name} were taken from earlier runs (reuse)"
    twins = [subject for subject in run.subjects if subject.draw]
    for twin in twins:
        yield f"{twin.name} is the same subject as an earlier arm: its replies are a second, separate draw"
    if spec.judge is not None and progress is not None and not run.prepared.judge_labels:
        judged = max((result.judge_share for result in progress.results), default=0.0)
        if judged:
            yield (
                f"the judge is uncalibrated and decides {judged:.0%} of the pairs of a gate: 5 points times that share are "
                "added to each upper bound"
            )
    yield from run.caveats
    if run.warmth_note:
        yield f"warmth was {run.warmth_note}"
