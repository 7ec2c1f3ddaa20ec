"""What to do next for a resource: first what can be written without asking anybody, then at most one call."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from candor_operator.domain.calls import Call, Cancel, Create, Find, Look
from candor_operator.domain.resource import Resource
from candor_operator.domain.status import ACCEPTED, RUNNING, STOPPING, VERDICT, Status
from candor_operator.domain.times import Schedule
from chassis.errors import CandorError


def settled(resource: Resource, status: Status, now: datetime) -> Status:
    """The status with everything in it that follows from the resource and the time. Settled twice, it is the same.

    A new request id stands in it before the call that it is for: whatever happens, the evaluation can be found again.
    """
    other = bool(status.digest) and status.digest != resource.digest
    if status.open and (other or status.phase == STOPPING):
        # The evaluation of the earlier document has to stop first. That stands here before the call: a document that is
        # changed back meanwhile cannot tell any more why its evaluation was cancelled.
        return replace(status, phase=STOPPING)
    history = tuple(status.history[: resource.history_limit])
    found = replace(status.observing(resource.generation), arms=resource.arms, history=history)
    mended = status.phase == "Refused" and status.observed_generation != resource.generation
    if other or (mended and not (status.request_id and resource.schedule)):  # else the schedule's next time tries again
        found = without_run(found, now, "Superseded", "the spec has changed")
    try:
        found = replace(found, next_slot=_next_slot(resource, status, now), schedule=resource.timetable)
    except CandorError as error:
        return _unscheduled(resource, replace(found, next_slot=None, schedule=""), error, now)
    if found.request_id or found.phase == "Refused":
        return _next_slot_run(resource, _scheduled_again(found, now), now)
    try:
        resource.evaluation_spec()
    except CandorError as error:
        return refused(resource, found, error, now)
    return _first_run(resource, found, now)


def next_call(resource: Resource, status: Status) -> Call | None:
    """The call to make for a settled status; None when there is nothing to ask."""
    if not status.open:
        return None
    if status.phase == STOPPING:
        return stopping_call(status, resource.uid)
    if not status.evaluation or status.phase == "Retrying":
        return Create(status.request_id, reuse=status.verdicts > 0 and status.slot is None)
    return Look(status.evaluation)


def stopping_call(status: Status, uid: str) -> Call | None:
    """The call that stops what may run; None when nothing does."""
    if not status.open:
        return None
    return Cancel(status.evaluation, uid) if status.evaluation else Find(status.request_id, uid)


def without_run(status: Status, now: datetime, reason: str, message: str) -> Status:
    """The status with no evaluation at hand and no verdict on the document; the history stays."""
    found = replace(
        status,
        phase="Pending",
        verdict="",
        progress="",
        stage="",
        spend="",
        evaluation="",
        request_id="",
        digest="",
        run_generation=0,
        slot=None,
    )
    for name in (ACCEPTED, RUNNING, VERDICT):
        found = found.with_condition(name, "Unknown" if name == ACCEPTED else "False", reason, message, now)
    return found


def refused(resource: Resource, status: Status, error: CandorError, now: datetime) -> Status:
    """The status of a document that cannot run as it is. Nothing is tried again before it changes, or its schedule's next time."""
    found = replace(status, phase="Refused", digest=resource.digest)
    message = told(error)
    for name in (ACCEPTED, RUNNING) if found.verdict else (ACCEPTED, RUNNING, VERDICT):
        found = found.with_condition(name, "False", error.reason.name, message, now)
    return found


def accepted(status: Status, now: datetime) -> Status:
    """The status of a document for which there is an evaluation."""
    return status.with_condition(ACCEPTED, "True", "Created", f"the orchestrator runs {status.evaluation}", now)


def schedule_error(resource: Resource, status: Status, now: datetime) -> CandorError | None:
    """What is wrong with the schedule, None where nothing is."""
    try:
        _next_slot(resource, status, now)
    except CandorError as error:
        return error
    return None


def told(error: CandorError) -> str:
    """An error in one line, every bad field with it."""
    return "; ".join([error.message, *(str(violation) for violation in error.violations)])


def _next_slot(resource: Resource, status: Status, now: datetime) -> datetime | None:
    if not resource.schedule:
        return None
    schedule = Schedule(resource.schedule, resource.time_zone)
    if status.next_slot is not None and status.schedule == resource.timetable:
        return status.next_slot
    # One that was never seen may have missed its first time already; another schedule begins now.
    start = now if status.observed_generation else resource.created
    return schedule.after(start)


def _unscheduled(resource: Resource, status: Status, error: CandorError, now: datetime) -> Status:
    """The status where the schedule cannot be read. Its run and verdict stay, and a run that is on comes to its end first."""
    if status.open or status.phase == "Refused":
        return status
    if status.request_id:
        return status.with_condition(ACCEPTED, "False", error.reason.name, told(error), now)
    return refused(resource, status, error, now)


def _scheduled_again(status: Status, now: datetime) -> Status:
    """The status after `_unscheduled`, once the schedule is mended."""
    over = status.evaluation and not status.open and status.phase != "Refused"
    return accepted(status, now) if over and status.conditions[ACCEPTED].status == "False" else status


def _first_run(resource: Resource, status: Status, now: datetime) -> Status:
    if resource.suspend:
        return _waiting(status, "Suspended", "suspend is set: nothing is started", now)
    if resource.schedule:
        return _next_slot_run(
            resource, _waiting(status, "Scheduled", "the first time of the schedule is to come", now), now
        )
    return _started(resource, status, f"{resource.uid}-{resource.generation}", now)


def _waiting(status: Status, phase: str, message: str, now: datetime) -> Status:
    found = replace(status, phase=phase)
    for name in (ACCEPTED, RUNNING, VERDICT):
        found = found.with_condition(name, "Unknown" if name == ACCEPTED else "False", phase, message, now)
    return found


def _next_slot_run(resource: Resource, status: Status, now: datetime) -> Status:
    """A new run where a time of the schedule has come and the last run is over. Of several missed times, one run is made up for."""
    if status.next_slot is None or now < status.next_slot or resource.suspend:
        return status
    never_asked = status.phase == "Refused" and not status.request_id  # what the orchestrator refused may be mended
    if status.open or never_asked:
        return status
    schedule = Schedule(resource.schedule, resource.time_zone)
    slot = max(schedule.last(now), status.next_slot)
    request_id = f"{resource.uid}-{resource.generation}-{int(slot.timestamp())}"
    return replace(_started(resource, status, request_id, now), slot=slot, next_slot=schedule.after(now))


def _started(resource: Resource, status: Status, request_id: str, now: datetime) -> Status:
    found = replace(
        status,
        phase="Starting",
        progress="",
        stage="",
        spend="",
        evaluation="",
        request_id=request_id,
        digest=resource.digest,
        run_generation=resource.generation,
        slot=None,
    )
    text = "the orchestrator is being asked"
    found = found.with_condition(ACCEPTED, "Unknown", "Starting", text, now)
    found = found.with_condition(RUNNING, "False", "Starting", text, now)
    if not found.verdict:
        found = found.with_condition(VERDICT, "False", "Starting", text, now)
    return found
