"""From the outcomes of a run to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chassis.system_prompts import builtin
from chassis.version import VERSION
from services.orchestrator.domain import prompts
from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.analysis.result import Comparison
from services.orchestrator.domain.board import MISSING
from services.orchestrator.domain.finding import finding
from services.orchestrator.domain.flips import DIRECTIONS, Found, find
from services.orchestrator.domain.gate.evidence import MAX_FAILED
from services.orchestrator.domain.gate.result import Progress
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.report import ArmReport, Flip, Report, TaskReport
from services.orchestrator.domain.spec import Arm, Checkpoint, Endpoint, Sampling
from services.orchestrator.domain.statistics.pairs import FAILED
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.service.records import Records
from services.orchestrator.service.run.caveats import caveats
from services.orchestrator.service.run.scoring import scorer_id
from services.orchestrator.service.run.state import Run

_FLIPS = 500


def records(run: Run) -> Records:
    """Every call of the run."""
    return Records(
        ledger=run.world.ledger,
        workload=run.prepared.workload,
        subjects=run.subjects,
        grader_digest=run.grader.digest,
        scorer="" if run.warmth_note else scorer_id(run.spec.warmth, run.grader.sociot_version),
    )


def conclude(run: Run, progress: Progress | None) -> Report:
    """Everything that the reports show. Blocking.

    Args:
        run: With nothing left to ask.
        progress: The gate's last word; None for a research document.
    """
    spec = run.spec
    workload = run.prepared.workload
    units = _units(run, progress)
    flips, flip_counts = _flips(run, units)
    judge = run.grader.judge_model or (spec.judge.endpoint.model if spec.judge else "")
    comparisons = tuple(
        compare(
            contrast.name,
            contrast.treated,
            contrast.reference,
            run.board.table(contrast.treated, contrast.reference, units),
        )
        for contrast in spec.comparisons()
    )
    verdict, reason = _verdict(run, progress, comparisons)
    return Report(
        evaluation=run.row.id,
        name=spec.name,
        verdict=verdict,
        reason=reason,
        baseline=spec.baseline,
        candidates=spec.gate.candidates,
        alpha=spec.gate.alpha,
        stopping=spec.gate.stopping,
        looks_done=progress.looks_done if progress else 0,
        looks_total=progress.looks_total if progress else 0,
        gates=progress.results if progress else (),
        dropped_gates=run.prepared.gating.gates.dropped,
        comparisons=comparisons,
        arms=tuple(_arm(run, subject) for subject in run.subjects),
        tasks=tuple(
            TaskReport(name=task.name, items=task.items, asked=task.asked, digest=task.digest, notes=task.notes)
            for task in workload.tasks
        ),
        flips=flips,
        flip_counts=flip_counts,
        caveats=tuple(caveats(run, progress)),
        versions=_versions(run),
        seed=spec.seed,
        judge=judge,
        judge_calibration=_calibration(run),
        warmth=_warmth(run),
        stage_seconds=dict(run.teller.stage_seconds),
        created=run.row.created,
        finished=run.world.clock(),
        document_digest=run.row.document_digest,
        limit=run.row.limit,
        document=run.world.codec.text(run.row.spec),
        made=run.made.arms,
    )


def _units(run: Run, progress: Progress | None) -> int:
    """Units that the report looks at: those that the gate looked at, so that arrival plays no part."""
    workload = run.prepared.workload
    if progress is None or run.invariants:
        return workload.units
    design = run.prepared.gating.design
    assert design is not None
    if design.stopping == "anytime":
        return progress.looks_done
    return workload.order.look_sizes(progress.looks_total)[progress.looks_done - 1] if progress.looks_done else 0


def _verdict(run: Run, progress: Progress | None, comparisons: Sequence[Comparison]) -> tuple[str, str]:
    if progress is not None:
        return progress.verdict, progress.reason
    if run.invariants:
        return "INVALID", "; ".join(run.invariants)
    broken = []
    for name, board in run.board.arms.items():
        asked = int(np.count_nonzero(board.verdict != MISSING))
        failed = int(np.count_nonzero(board.verdict == FAILED))
        if failed > MAX_FAILED * asked:
            broken.append(f"{failed / asked:.1%} of the calls of {name} failed; at most {MAX_FAILED:.0%} may")
    if broken:
        return "INVALID", "; ".join(broken)
    named = len(run.spec.contrasts)
    return "NONE", finding(comparisons[:named], comparisons[named:], run.made.arms)


def _flips(run: Run, units: int) -> tuple[tuple[Flip, ...], dict[tuple[str, str], int]]:
    flips: list[Flip] = []
    counts: dict[tuple[str, str], int] = {}
    spec = run.spec
    reader = records(run)
    for name in spec.gate.candidates or tuple(arm for arm in spec.arm_order() if arm != spec.baseline):
        pair = (run.subject(spec.baseline), run.subject(name))
        for direction in DIRECTIONS:
            found = find(run.board, name, spec.baseline, direction, _FLIPS, units)
            counts[name, direction] = found.count
            flips += _quoted(reader, pair, direction, found)
    return tuple(flips), counts


def _quoted(reader: Records, pair: tuple[Subject, Subject], direction: str, found: Found) -> list[Flip]:
    baseline, candidate = pair
    rows = reader.of(found.slots, pair)
    by_arm: dict[str, list[Record]] = {
        subject.name: [row for row in rows if row.arm == subject.name] for subject in pair
    }
    return [
        Flip(
            candidate=candidate.name,
            direction=direction,
            task=trt.task,
            item=trt.item,
            context=trt.context,
            belief=trt.belief,
            repeat=trt.repeat,
            prompt="\n\n".join(content for _, content in trt.prompt),
            gold=trt.gold,
            false_answer=trt.false_answer,
            baseline_reply=ref.reply,
            candidate_reply=trt.reply,
            baseline_verdict=ref.verdict,
            candidate_verdict=trt.verdict,
            adopts_belief=trt.adopts_belief,
            decided_by="judge" if "judge" in (ref.decided_by, trt.decided_by) else trt.decided_by,
            score=score,
        )
        for ref, trt, score in zip(by_arm[baseline.name], by_arm[candidate.name], found.scores, strict=True)
    ]


def _arm(run: Run, subject: Subject) -> ArmReport:
    spec = run.spec
    counts = run.teller.counts.arms[subject.name]
    board = run.board.arms[subject.name]
    role = "baseline" if subject.name == spec.baseline else "other"
    replied = board.chars > 0
    scored = np.isfinite(board.warmth)
    notes = list(subject.found.notes)
    if isinstance(subject.arm.source, Endpoint) and subject.found.reported_model not in ("", subject.arm.source.model):
        notes.append(f"calls itself {subject.found.reported_model}")
    if counts.reused:
        age = (run.row.created - (counts.oldest_reuse or run.row.created)) / 86_400
        notes.append(f"{counts.reused:,} replies are from earlier runs, the oldest {max(age, 0.0):.1f} days old")
    return ArmReport(
        name=subject.name,
        role="candidate" if subject.name in spec.gate.candidates else role,
        subject=_subject(subject.arm),
        system_prompt=_system_prompt(subject.arm),
        backend=subject.found.backend,
        digest=subject.found.digest,
        verifiable=subject.found.verifiable,
        components=dict(subject.found.components),
        sampling=_sampling(subject.found.sampling),
        own_sampling=subject.arm.own_sampling,
        notes=tuple(notes),
        calls=counts.done + counts.failed.total(),
        failed=dict(sorted(counts.failed.items())),
        cut=counts.cut,
        reused=counts.reused,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        spend=run.teller.arm_spend(subject.name),
        mean_chars=float(board.chars[replied].mean()) if replied.any() else None,
        mean_warmth=float(board.warmth[scored].mean()) if scored.any() else None,
    )


def _subject(arm: Arm) -> str:
    if isinstance(arm.source, Endpoint):
        return f"{arm.source.model} at {arm.source.base_url}"
    assert isinstance(arm.source, Checkpoint), f"{arm.name} is not made yet"
    return f"{arm.source.path} with {arm.source.adapter}" if arm.source.adapter else arm.source.path


def _system_prompt(arm: Arm) -> str:
    if arm.system_prompt is None:
        return ""
    return arm.system_prompt.text or builtin(arm.system_prompt.builtin)


def _sampling(sampling: Sampling) -> dict[str, str]:
    """What is really sent."""
    values: dict[str, object] = {
        "temperature": sampling.temperature,
        sampling.max_tokens_field: sampling.max_tokens,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
    }
    omitted = {sampling.max_tokens_field if name == "max_tokens" else name for name in sampling.omit}
    return {name: str(value) for name, value in values.items() if value is not None and name not in omitted}


def _versions(run: Run) -> Mapping[str, str]:
    found = {
        "candor": VERSION,
        "prompts": prompts.version(),
        "prompts digest": prompts.digest(),
        "grader": run.grader.grader_version,
        "judge prompt": run.grader.judge_prompt_digest,
        "judge": run.grader.judge_model,
        "sociot": run.grader.sociot_version if run.spec.warmth else "",
    }
    return {name: value for name, value in found.items() if value}


def _calibration(run: Run) -> str:
    if run.spec.judge is None:
        return ""
    labels = run.prepared.judge.labels
    return f"calibrated on {labels:,} labels" if labels else "uncalibrated"


def _warmth(run: Run) -> str:
    warmth = run.spec.warmth
    if warmth is None:
        return ""
    return run.warmth_note or f"{warmth.metric}, {warmth.model}, {warmth.estimator}"
