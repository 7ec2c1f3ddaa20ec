"""One execution of an evaluation, from wherever it stands to its verdict. Everything it needs is in the ledger."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

from chassis.errors import CandorError, Reason
from chassis.logs import get_logger
from services.orchestrator.domain.board import Board
from services.orchestrator.domain.gate.result import INVALID, Cause, Progress
from services.orchestrator.domain.making.made import Made
from services.orchestrator.domain.subjects import dead, unlike
from services.orchestrator.ports import CLOSED_STATES, VERDICT_FILE, EvaluationRow
from services.orchestrator.service.judging import judge_digest, judge_error
from services.orchestrator.service.prepare import Prepared, prepare, with_judge
from services.orchestrator.service.queries import mark_cancelled
from services.orchestrator.service.recipes.gone import with_mend
from services.orchestrator.service.recipes.make import make
from services.orchestrator.service.run.adopt import adopt
from services.orchestrator.service.run.ask import Asker
from services.orchestrator.service.run.conclude import conclude, records
from services.orchestrator.service.run.grading import Grading
from services.orchestrator.service.run.identify import identify_arms, identify_grader, pin
from services.orchestrator.service.run.load import load, ungraded
from services.orchestrator.service.run.looks import look, pursue
from services.orchestrator.service.run.scoring import score
from services.orchestrator.service.run.state import Run, Teller
from services.orchestrator.service.world import World, blocking

_log = get_logger("orchestrator")


async def execute(world: World, evaluation_id: str, attempt: int) -> None:
    """Bring an evaluation to its verdict, or to the state that says why not. Idempotent.

    An attempt that is not the latest, or an evaluation that was cancelled or has its verdict, is left alone. Cancelling
    the task leaves the evaluation as it is, so that it goes on when it is started again; what has arrived is stored.

    Raises:
        CandorError: The ledger cannot be reached, so that nothing could be recorded: call it again later.
    """
    row = await blocking(world.ledger.evaluation, evaluation_id)
    if row.attempt != attempt or row.state in CLOSED_STATES:
        return
    world.unrecorded.pop(evaluation_id, None)
    if row.cancel:
        await mark_cancelled(world, evaluation_id)
        return
    _log.info("run begins", evaluation=evaluation_id, attempt=attempt)
    async with aclosing(Teller(world, row, world.codec.decode(row.spec))) as teller:
        await _bring_to_end(world, row, teller)


async def _bring_to_end(world: World, row: EvaluationRow, teller: Teller) -> None:
    settled = False
    try:
        await _conduct(world, row, teller)
        settled = True
    except* CandorError as group:
        settled = True
        error = _first(group)
        _log.info("run stopped", evaluation=row.id, reason=error.reason.name)
        text = "\n".join([error.message, *(f"  {violation}" for violation in error.violations)])
        await _close_failed(world, teller, error, text)
    finally:
        if not settled and not _stopping():
            # A defect. Its traceback goes on to the log; the evaluation must not seem to run for ever.
            text = "an internal error stopped the run; what was answered is kept, see the log of the orchestrator"
            await teller.tell(text, "FAILED", reason=text, failure_reason=Reason.INTERNAL.name)


async def _close_failed(world: World, teller: Teller, error: CandorError, text: str) -> None:
    try:
        await teller.tell(text, "FAILED", reason=text, failure_reason=error.reason.name)
    except CandorError as lost:
        world.unrecorded[teller.evaluation_id] = lost
        world.bell.ring(teller.evaluation_id)
        raise


def _stopping() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first(group: BaseExceptionGroup[CandorError]) -> CandorError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an empty group")


async def _conduct(world: World, row: EvaluationRow, teller: Teller) -> None:
    spec = world.codec.decode(row.spec)
    await teller.tell("planning")
    prepared = await prepare(world, spec, row.limit, ask=True)
    made = await make(world, row, spec, prepared.pool, teller)
    try:
        await _evaluate(world, row, replace(prepared, spec=made.applied(spec)), made, teller)
    except* CandorError as group:
        error = _first(group)
        raise with_mend(error, made) from error


async def _evaluate(world: World, row: EvaluationRow, prepared: Prepared, made: Made, teller: Teller) -> None:
    """Ask, grade, score and report, with every arm there."""
    spec = prepared.spec
    await teller.enter("describing")
    subjects = await identify_arms(world, row, spec, made.tuned_from(spec))
    grader = await identify_grader(world, row, spec)
    if spec.judge is not None:
        prepared = with_judge(prepared, await blocking(judge_error, world.ledger, spec, judge_digest(grader)))
    board = await blocking(Board, prepared.workload, spec.arm_order())
    run = Run(
        world=world,
        row=row,
        prepared=prepared,
        teller=teller,
        subjects=subjects,
        grader=grader,
        board=board,
        made=made,
        caveats=list(made.warnings),
    )
    run.broke(Cause.DEAD_ARM, *dead(subjects))
    run.broke(Cause.UNLIKE_ARMS, *unlike(subjects, made.bases))
    run.stale = bool(run.invariants)
    teller.counts.total = len(prepared.workload.slots) * len(subjects)
    await blocking(adopt, run)
    reanalysis = row.lineage != row.id and row.attempt == 1
    await blocking(load, run, keep_failures=reanalysis)
    progress = await _generate(run)
    if spec.warmth is not None:
        await teller.enter("scoring")
        await score(run)
    await _report(run, progress)


async def _generate(run: Run) -> Progress | None:
    """Ask and grade; an arm that became another model ends it as INVALID."""
    await run.teller.enter("generating")
    grading = Grading(run)
    asker = Asker(run, grading)
    finished = False
    try:
        for subject in run.subjects:
            await grading.put_stored(subject.name, ungraded(run, subject.name))
        progress = await pursue(run, asker)
        finished = True
    except* CandorError as group:
        error = _first(group)
        if error.reason is not Reason.IDENTITY_CHANGED:
            raise
        run.broke(Cause.MODEL_CHANGED, f"a model changed in mid-run: {error.message}")
        run.stale = True
    finally:
        await asker.close(finished=finished)
    if not finished:
        return await look(run, 0) if run.prepared.gating.design else None
    return progress


async def _report(run: Run, progress: Progress | None) -> None:
    world = run.world
    if run.stale:
        await pin(world, run.row.id, stale=True)
    await run.teller.enter("analysing")
    report = await blocking(conclude, run, progress)
    if report.verdict == INVALID:
        # Without a sentence of ours the gate found too many failed calls in a slice.
        await pin(world, run.row.id, causes=sorted(run.causes or {Cause.FAILED_CALLS}))
    await run.teller.enter("reporting")
    files = await blocking(world.reporter.files, report, records(run))
    await blocking(world.artifacts.write, run.row.id, files)
    await run.teller.enter("done")
    verdict = files[VERDICT_FILE]
    assert isinstance(verdict, bytes)
    await run.teller.tell(
        f"{report.verdict}: {report.reason}",
        "SUCCEEDED",
        verdict=report.verdict,
        reason=report.reason,
        failure_reason="",
        verdict_json=verdict.decode(),
    )
