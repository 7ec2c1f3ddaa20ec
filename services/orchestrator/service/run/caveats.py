"""What a reader must know before trusting a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from services.orchestrator.domain.gate.power import HOPELESS
from services.orchestrator.domain.gate.result import Progress
from services.orchestrator.domain.spec import Sampling
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.service.power import power_of
from services.orchestrator.service.run.state import Run

_MANY_CUT = 0.05


def caveats(run: Run, progress: Progress | None) -> Iterator[str]:
    """One sentence each."""
    yield from _scope(run)
    kinds = {subject.found.backend for subject in run.subjects}
    if len(kinds) > 1:
        yield f"the arms run on different backends ({', '.join(sorted(kinds))}) and are compared as deployed"
    for subject in run.subjects:
        yield from _arm(run, subject)
    yield from _judge(run, progress)
    yield from run.caveats
    if run.warmth_note:
        yield f"warmth was {run.warmth_note}"


def _scope(run: Run) -> Iterator[str]:
    workload = run.prepared.workload
    gates = run.prepared.gating.gates
    if run.row.limit:
        pool = sum(task.items for task in workload.tasks)
        yield f"a quick look: {len(workload.items):,} of {pool:,} items were asked (--limit){_out_of_reach(run)}"
    if run.row.lineage != run.row.id:
        yield f"replies are those of evaluation {run.row.lineage}, looked at under other gate or report settings"
    for gate, why in gates.dropped:
        yield f"the gate {gate} was left out: it {why}"
    yield from gates.notes


def _out_of_reach(run: Run) -> str:
    """Which gates a quick look can hardly decide."""
    power = power_of(run.prepared)
    hopeless = [
        gate.gate
        for gate in (power.gates if power else ())
        if gate.critical and max(gate.pass_if_equal, gate.fail_if_twice_margin) < HOPELESS
    ]
    if not hopeless:
        return ""
    names = ", ".join(dict.fromkeys(hopeless))
    return f"; so few cannot conclude on {names}: less than a {HOPELESS:.0%} chance of PASS or FAIL"


def _arm(run: Run, subject: Subject) -> Iterator[str]:
    counts = run.teller.counts.arms[subject.name]
    if subject.arm.own_sampling:
        yield f"{subject.name} is sampled with settings of its own: {_sampling(subject.arm.sampling)}"
    refused = set(subject.found.sampling.omit) - set(subject.arm.sampling.omit)
    if refused:
        yield f"{subject.name} refused {', '.join(sorted(refused))}, so it was not sent"
    for reason, count in sorted(counts.failed.items()):
        why = f", for example: {counts.said[reason]}" if reason in counts.said else ""
        yield f"{count:,} calls of {subject.name} failed with {reason}{why}"
    others = sorted(counts.names - {"", subject.found.reported_model})
    if others:
        yield (
            f"{subject.name} called itself {subject.found.reported_model or 'nothing'} at the start of the run and then "
            f"{', '.join(others)}: its deployment may have changed"
        )
    if counts.cut > _MANY_CUT * counts.done:
        yield f"{counts.cut / counts.done:.0%} of the replies of {subject.name} were cut at max_tokens"
    if counts.reused and subject.arm.reuse_seconds is not None and not subject.shared:
        yield f"{counts.reused:,} replies of {subject.name} were taken from earlier runs (reuse)"
    liveness = subject.found.liveness
    if liveness is not None and not liveness.told:
        yield (
            f"whether the fine-tune of {subject.name} is alive cannot be told: greedy replies of one model, asked again, "
            f"differed on {liveness.floor:.0%} of {liveness.probes} probes"
        )
    if subject.draw:
        yield f"{subject.name} is the same subject as an earlier arm: its replies are a second, separate draw"


def _sampling(sampling: Sampling) -> str:
    top_p = "" if sampling.top_p is None else f", top_p {sampling.top_p:g}"
    return f"temperature {sampling.temperature:g}, {sampling.max_tokens_field} {sampling.max_tokens}{top_p}"


def _judge(run: Run, progress: Progress | None) -> Iterator[str]:
    if run.spec.judge is None or progress is None or run.prepared.judge.labels:
        return
    judged = max((result.judge_share for result in progress.results), default=0.0)
    if judged:
        yield (
            f"the judge is uncalibrated and decides {judged:.0%} of the pairs of a gate: 5 points times that share are "
            "added to each upper bound"
        )
