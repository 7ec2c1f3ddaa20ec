"""The operator's own fields of `.spec`, and the status that it writes."""

from __future__ import annotations

from typing import Any

from tools.crd.rules import RULES

Schema = dict[str, Any]


def _text(description: str, most: int, **more: Any) -> Schema:
    return {"description": description, "type": "string", "maxLength": most, **more}


SPEC: dict[str, Schema] = {
    "schedule": _text(
        "When to run again: a cron line of five fields, or @hourly, @daily, @weekly, @monthly. A time that was missed is made "
        "up for once. Empty: the document runs once, and again when it changes.",
        128,
    )
    | {"x-kubernetes-validations": RULES["schedule"]},
    "time_zone": _text(
        "Time zone of the schedule, as IANA names it.", 64, default="UTC", pattern="^[A-Za-z][A-Za-z0-9_+/-]*$"
    ),
    "suspend": {
        "description": "Start nothing new. What runs goes on.",
        "type": "boolean",
        "default": False,
    },
    "history_limit": {
        "description": "How many verdicts the status lists, the newest first; fewer where the status would become too large.",
        "type": "integer",
        "format": "int32",
        "minimum": 0,
        "maximum": 20,
        "default": 5,
    },
    "allow_underpowered": {
        "description": "Run although the plan says that no verdict can be reached.",
        "type": "boolean",
        "default": False,
    },
    "limit": {
        "description": "Ask only so many items, a seeded and balanced subset; 0 asks all.",
        "type": "integer",
        "format": "int32",
        "minimum": 0,
        "default": 0,
    },
}

_TIME = {"type": "string", "format": "date-time"}
_CONDITION: Schema = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": _text("Accepted, Running or Verdict.", 64),
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": _text("One word: the verdict, or a reason of the error catalog.", 64),
        "message": _text("For a person.", 1024),
        "observedGeneration": {"type": "integer", "format": "int64"},
        "lastTransitionTime": _TIME,
    },
}
STATUS: Schema = {
    "description": "What the operator knows. Replies and reports are at the orchestrator.",
    "type": "object",
    "properties": {
        "observedGeneration": {
            "description": "Generation of the spec that this status is about.",
            "type": "integer",
            "format": "int64",
        },
        "phase": _text(
            "Pending, Scheduled, Suspended, Starting, Running, Stopping, Done, Retrying, Failed, Cancelled or Refused.",
            32,
        ),
        "arms": _text("The arms, the baseline first.", 128),
        "verdict": _text("The last verdict on this document.", 32),
        "progress": _text("Replies there are, of those that may be needed.", 64),
        "stage": _text("What the orchestrator is at.", 64),
        "spend": _text("So far, in the document's currency.", 32),
        "evaluation": _text("The evaluation at the orchestrator.", 192),
        "requestId": _text("The id that it was created with.", 128),
        "digest": _text("Of what the evaluation runs.", 32),
        "runGeneration": {
            "description": "Generation of the spec that the evaluation runs.",
            "type": "integer",
            "format": "int64",
        },
        "verdicts": {
            "description": "How many verdicts there were, also those that the history does not list.",
            "type": "integer",
            "format": "int64",
        },
        "slot": {"description": "Time of the schedule that the evaluation is for.", **_TIME},
        "nextSlot": {"description": "Next time of the schedule.", **_TIME},
        "schedule": _text("Schedule and time zone that nextSlot follows from.", 256),
        "conditions": {
            "type": "array",
            "maxItems": 8,
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "history": {
            "description": "Verdicts, the newest first.",
            "type": "array",
            "maxItems": 20,
            "items": {
                "type": "object",
                "properties": {
                    "evaluation": _text("Of the verdict.", 192),
                    "generation": {"type": "integer", "format": "int64"},
                    "verdict": _text("PASS, FAIL, INCONCLUSIVE, INVALID or NONE.", 32),
                    "time": _TIME,
                },
            },
        },
        "kopf": {
            "description": "Of the operator's framework, while a deletion is being carried out.",
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
}

COLUMNS: list[Schema] = [
    {"name": "Arms", "type": "string", "jsonPath": ".status.arms"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Verdict", "type": "string", "jsonPath": ".status.verdict"},
    {"name": "Done/Total", "type": "string", "jsonPath": ".status.progress"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Spend", "type": "string", "jsonPath": ".status.spend", "priority": 1},
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Verdict")].message',
        "priority": 1,
    },
]
