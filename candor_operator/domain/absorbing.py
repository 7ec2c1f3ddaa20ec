"""What an answer of the orchestrator makes of the status, and what is worth telling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from candor.orchestrator.v1 import orchestrator_pb2

from candor_operator.domain.calls import OPEN_STATES, Call, Cancel, Create, Find, Look, started_by
from candor_operator.domain.deciding import accepted, refused, schedule_error, told, without_run
from candor_operator.domain.resource import Resource
from candor_operator.domain.status import ACCEPTED, RUNNING, VERDICT, PastVerdict, Status
from chassis.errors import CandorError, ExitCode, Reason

Answer = orchestrator_pb2.Evaluation | None
# The document itself is at fault. Whatever else is refused may be mended around it: settings, credentials, models.
_OF_THE_DOCUMENT = frozenset(
    {
        Reason.INVALID_REQUEST,
        Reason.BAD_DOCUMENT,
        Reason.BAD_DATASET,
        Reason.BAD_TRAINING_DATA,
        Reason.BATCH_TOO_LARGE,
        Reason.DATASET_TOO_LARGE,
        Reason.CONTEXT_TOO_LONG,
        Reason.UNDERPOWERED,
    }
)
_NOT_STOPPED = "NotStopped"
_BAD_VERDICTS = ("FAIL", "INVALID")


@dataclass(frozen=True, slots=True)
class Notice:
    """An event on the resource: `Normal` or `Warning`, one word, a sentence."""

    kind: str
    reason: str
    message: str


def answered(resource: Resource, status: Status, call: Call, answer: Answer, now: datetime) -> Status:
    """The status after a call that succeeded; `answer` is None where a Find found nothing."""
    if isinstance(call, Find):
        if answer is None:
            return without_run(status, now, "Superseded", "nothing had been started")
        return replace(status, evaluation=answer.name)
    if isinstance(call, Cancel):
        assert answer is not None
        notice = stopped(call, answer, "the spec has changed")
        return without_run(status, now, notice.reason, notice.message)
    assert answer is not None
    if isinstance(call, Create):
        status = accepted(replace(status, evaluation=answer.name), now)
    return _mirrored(resource, status, answer, now)


def failed(resource: Resource, status: Status, call: Call, error: CandorError, now: datetime) -> Status:
    """The status after a call that failed."""
    gone = error.reason is Reason.EVALUATION_NOT_FOUND
    if gone and isinstance(call, Cancel):
        text = f"the orchestrator does not know {call.evaluation} any more: the spec has changed"
        return without_run(status, now, "Superseded", text)
    if gone and isinstance(call, Look):
        text = f"the orchestrator does not know {status.evaluation} any more; it is asked again"
        return replace(status, evaluation="", phase="Starting").with_condition(RUNNING, "False", "Lost", text, now)
    if isinstance(call, Create):
        if error.reason in _OF_THE_DOCUMENT:
            return refused(resource, status, error, now)
        mended = "False" if not error.retryable else "Unknown"
        found = replace(status, phase="Retrying")
        name, value = (ACCEPTED, mended) if not status.evaluation else (RUNNING, "Unknown")
        found = found.with_condition(name, value, error.reason.name, told(error), now)
        if not found.verdict:
            found = found.with_condition(VERDICT, "False", error.reason.name, told(error), now)
        return found
    return status.with_condition(RUNNING, "Unknown", error.reason.name, told(error), now)


def stopped(call: Cancel, answer: orchestrator_pb2.Evaluation, why: str) -> Notice:
    """What became of an evaluation that was to be stopped."""
    if answer.state == "CANCELLED":
        return Notice("Normal", "Cancelled", f"{answer.name} was cancelled: {why}")
    if answer.state not in OPEN_STATES:
        return Notice("Normal", "Ended", f"{answer.name} had ended: {why}")
    if started_by(answer, call.uid):
        return Notice("Normal", "Cancelled", f"{answer.name} is being cancelled: {why}")
    text = f"{answer.name} goes on, although {why}: another request started it, and who did may cancel it"
    return Notice("Warning", _NOT_STOPPED, text)


def notices(resource: Resource, before: Status, after: Status, now: datetime) -> Iterator[Notice]:
    """What is told about the step from one status to the next."""
    if after.open and after.observed_generation != before.observed_generation:
        bad = schedule_error(resource, after, now)
        if bad is not None:  # a condition says so when the run has ended
            yield Notice("Warning", bad.reason.name, told(bad))
    if after.evaluation and after.evaluation != before.evaluation and after.digest == before.digest:
        yield Notice("Normal", "Created", f"{after.evaluation} runs generation {after.run_generation}")
    if after.phase == "Done" != before.phase:
        kind = "Warning" if after.verdict in _BAD_VERDICTS else "Normal"
        yield Notice(kind, "Verdict", f"{after.verdict}: {after.conditions[VERDICT].message}")
    if before.open and before.evaluation and not after.request_id:
        left = after.conditions[RUNNING]
        yield Notice("Warning" if left.reason == _NOT_STOPPED else "Normal", left.reason, left.message)
    if after.phase == "Cancelled" != before.phase:
        yield Notice("Warning", "Cancelled", f"{after.evaluation} was cancelled at the orchestrator")
    for name in (ACCEPTED, RUNNING):
        condition, earlier = after.conditions.get(name), before.conditions.get(name)
        if condition is None or condition.reason not in Reason.__members__ or condition.reason == "CANCELLED":
            continue
        if earlier is None or (earlier.reason, earlier.status) != (condition.reason, condition.status):
            yield Notice("Warning", condition.reason, condition.message)
            return  # a refusal stands in both


def _mirrored(resource: Resource, status: Status, evaluation: orchestrator_pb2.Evaluation, now: datetime) -> Status:
    """The status with how the evaluation does."""
    progress = evaluation.progress
    found = replace(
        status,
        progress=f"{progress.responses_done}/{progress.responses_total}" if progress.responses_total else "",
        stage=progress.stage,
        spend=f"{progress.spend:.2f}" if progress.HasField("spend") else "",
    )
    match evaluation.state:
        case "SUCCEEDED":
            return _concluded(resource, found, evaluation, now)
        case "FAILED":
            reason = Reason.__members__.get(evaluation.failure_reason, Reason.INTERNAL)
            found = replace(found, phase="Retrying" if _may_go_on(reason) else "Failed")
            return _without_verdict(found, reason.name, evaluation.reason, now)
        case "CANCELLED":
            return _without_verdict(replace(found, phase="Cancelled"), "CANCELLED", evaluation.reason, now)
    found = replace(found, phase="Running")
    found = found.with_condition(RUNNING, "True", "Running", f"{evaluation.name} is {progress.stage or 'waiting'}", now)
    if not found.verdict:
        found = found.with_condition(VERDICT, "False", "Running", "there is none yet", now)
    return found


def _may_go_on(reason: Reason) -> bool:
    """Whether an evaluation that broke is worth going on with: it costs little to find out that nothing was mended."""
    around = reason.entry.exit_code is ExitCode.BAD_DOCUMENT and reason not in _OF_THE_DOCUMENT
    return reason.entry.retryable or around or reason is Reason.CANCELLED  # a call, by a service that was stopped


def _without_verdict(status: Status, reason: str, message: str, now: datetime) -> Status:
    found = status.with_condition(RUNNING, "False", reason, message, now)
    return found if found.verdict else found.with_condition(VERDICT, "False", reason, message, now)


def _concluded(resource: Resource, status: Status, evaluation: orchestrator_pb2.Evaluation, now: datetime) -> Status:
    found = replace(status, phase="Done", verdict=evaluation.verdict, verdicts=status.verdicts + 1)
    found = found.with_condition(RUNNING, "False", "Done", f"{evaluation.name} has its verdict", now)
    found = found.with_condition(VERDICT, "True", evaluation.verdict, evaluation.reason, now)
    time = evaluation.update_time.ToDatetime(now.tzinfo)
    line = PastVerdict(evaluation.name, status.run_generation, evaluation.verdict, time)
    earlier = [each for each in status.history if each.evaluation != line.evaluation]
    return replace(found, history=(line, *earlier)[: resource.history_limit])
