"""The status of a resource: what the operator remembers, in under 2 kB. Results are the orchestrator's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from candor_operator.domain.times import read_time, written

MOST_BYTES = 1800  # the framework adds a little while an object is being deleted
_MESSAGE_BYTES = (400, 240, 160, 80, 40, 0)
_LETS_GO_BYTES = 160  # verdicts are let go rather than messages cut below this
# Phases in which there is nothing to do for the evaluation at hand.
CLOSED = ("Done", "Failed", "Cancelled", "Refused")
STOPPING = "Stopping"

ACCEPTED, RUNNING, VERDICT = "Accepted", "Running", "Verdict"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, in the shape that Kubernetes gives them."""

    status: str
    reason: str
    message: str
    generation: int
    since: datetime


@dataclass(frozen=True, slots=True)
class PastVerdict:
    """A line of the history."""

    evaluation: str
    generation: int
    verdict: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """What the operator knows of a resource; empty values are left out of the object.

    Attributes:
        observed_generation: Of the spec that the status is about.
        request_id: The evaluation at hand is created with it; empty while there is none. Written before the call, so that a
            crash between the two leaves a trace.
        evaluation: Its name at the orchestrator, once that is known.
        digest: Of what it runs; see `Resource`.
        slot: The time of the schedule that it is for.
        schedule: What `next_slot` follows from; see `Resource.timetable`.
        verdict: The last one on this document.
        verdicts: How many there were, also those that the history does not list.
        history: Verdicts, the newest first.
    """

    observed_generation: int = 0
    phase: str = ""
    arms: str = ""
    verdict: str = ""
    progress: str = ""
    stage: str = ""
    spend: str = ""
    evaluation: str = ""
    request_id: str = ""
    digest: str = ""
    run_generation: int = 0
    verdicts: int = 0
    slot: datetime | None = None
    next_slot: datetime | None = None
    schedule: str = ""
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    history: Sequence[PastVerdict] = ()

    @property
    def open(self) -> bool:
        """Whether there may be an evaluation that still runs."""
        return bool(self.request_id) and self.phase not in CLOSED

    def with_condition(self, name: str, status: str, reason: str, message: str, now: datetime) -> Status:
        """The status with one condition set; the time of the transition stays where the condition's status does."""
        known = self.conditions.get(name)
        since = known.since if known is not None and known.status == status else now
        condition = Condition(status, reason, message, self.observed_generation, since)
        return replace(self, conditions={**self.conditions, name: condition})

    def observing(self, generation: int) -> Status:
        """The status, true of a later generation as well."""
        moved = {name: replace(each, generation=generation) for name, each in self.conditions.items()}
        return replace(self, observed_generation=generation, conditions=moved)


_TEXTS = {
    "phase": "phase",
    "arms": "arms",
    "verdict": "verdict",
    "progress": "progress",
    "stage": "stage",
    "spend": "spend",
    "evaluation": "evaluation",
    "request_id": "requestId",
    "digest": "digest",
    "schedule": "schedule",
}
_NUMBERS = {"observed_generation": "observedGeneration", "run_generation": "runGeneration", "verdicts": "verdicts"}
_TIMES = {"slot": "slot", "next_slot": "nextSlot"}
OWN_FIELDS = (*_TEXTS.values(), *_NUMBERS.values(), *_TIMES.values(), "conditions", "history")
assert len(OWN_FIELDS) == len(fields(Status))


def read_status(data: Mapping[str, Any]) -> Status:
    """The status in an object of the API server."""
    values: dict[str, Any] = {name: str(data.get(key, "")) for name, key in _TEXTS.items()}
    values |= {name: int(data.get(key, 0)) for name, key in _NUMBERS.items()}
    values |= {name: read_time(data[key]) for name, key in _TIMES.items() if data.get(key)}
    return Status(
        **values,
        conditions={
            each["type"]: Condition(
                each["status"],
                each.get("reason", ""),
                each.get("message", ""),
                int(each.get("observedGeneration", 0)),
                read_time(each["lastTransitionTime"]),
            )
            for each in data.get("conditions", ())
        },
        history=tuple(
            PastVerdict(each["evaluation"], int(each.get("generation", 0)), each["verdict"], read_time(each["time"]))
            for each in data.get("history", ())
        ),
    )


def status_fields(status: Status) -> dict[str, Any]:
    """The status as the object has it: at most `MOST_BYTES` of JSON, for which messages are cut and old verdicts let go."""
    history = list(status.history)
    for most in _MESSAGE_BYTES:
        while True:
            found = _fields(status, history, most)
            if size(found) <= MOST_BYTES:
                return found
            if most > _LETS_GO_BYTES or not history:
                break
            history.pop()
    return found


def size(status: Mapping[str, Any]) -> int:
    """Bytes of its JSON form."""
    return len(json.dumps(status, ensure_ascii=False, separators=(",", ":")).encode())


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What makes `after` of `before` by RFC 7386, for the fields that are ours; empty when there is nothing to write."""
    return {name: after.get(name) for name in OWN_FIELDS if before.get(name) != after.get(name)}


def _fields(status: Status, history: Sequence[PastVerdict], most: int) -> dict[str, Any]:
    found: dict[str, Any] = {key: getattr(status, name) for name, key in (_NUMBERS | _TEXTS).items()}
    found |= {key: written(getattr(status, name)) for name, key in _TIMES.items() if getattr(status, name)}
    found["conditions"] = [
        {
            "type": name,
            "status": each.status,
            "reason": each.reason,
            "message": _cut(each.message, most),
            "observedGeneration": each.generation,
            "lastTransitionTime": written(each.since),
        }
        for name, each in sorted(status.conditions.items())
    ]
    found["history"] = [
        {
            "evaluation": each.evaluation,
            "generation": each.generation,
            "verdict": each.verdict,
            "time": written(each.time),
        }
        for each in history
    ]
    return {key: value for key, value in found.items() if value}


def _cut(text: str, most: int) -> str:
    """At most so many bytes of one line."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    data = line.encode("utf-8", "replace")
    if len(data) <= most:
        return data.decode()
    return data[: most - 3].decode("utf-8", "ignore").rstrip() + "..." if most else ""
