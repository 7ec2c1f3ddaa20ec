"""An Evaluation resource as the API server has it, read into values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2
from google.protobuf import json_format

from chassis.custom_resource import document_of
from chassis.errors import CandorError, Reason

DEFAULT_HISTORY = 5
_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource.

    Attributes:
        uid: Of the object; another object of the same name has another.
        generation: Of the spec.
        created: When the object came to be.
        document: The evaluation document in its JSON form.
        digest: Of everything in the spec that an evaluation runs; schedule, suspend and the like play no part.
        arms: Names, the baseline first, as a person reads them in a list.
    """

    uid: str
    generation: int
    created: datetime
    document: Mapping[str, Any]
    digest: str
    arms: str
    schedule: str = ""
    time_zone: str = "UTC"
    suspend: bool = False
    history_limit: int = DEFAULT_HISTORY
    allow_underpowered: bool = False
    limit: int = 0

    @property
    def timetable(self) -> str:
        """Schedule and zone, as the status keeps them; empty without a schedule."""
        return f"{self.schedule} {self.time_zone}" if self.schedule else ""

    def evaluation_spec(self) -> evaluation_pb2.EvaluationSpec:
        """The document as a message.

        Raises:
            CandorError: BAD_DOCUMENT, an unknown field or a wrong type.
        """
        try:
            return _message(self.document)
        except json_format.ParseError as error:
            raise CandorError(Reason.BAD_DOCUMENT, f"spec: {error}") from error


def read_resource(body: Mapping[str, Any]) -> Resource:
    """The values in an object of the API server."""
    meta, spec = body["metadata"], body.get("spec") or {}
    document = document_of(spec)
    allow, limit = bool(spec.get("allow_underpowered", False)), int(spec.get("limit", 0))
    return Resource(
        uid=meta["uid"],
        generation=int(meta.get("generation", 1)),
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        document=document,
        digest=_digest(document, allow, limit),
        arms=_arms(document),
        schedule=str(spec.get("schedule", "")).strip(),
        time_zone=str(spec.get("time_zone") or "UTC"),
        suspend=bool(spec.get("suspend", False)),
        history_limit=int(spec.get("history_limit", DEFAULT_HISTORY)),
        allow_underpowered=allow,
        limit=limit,
    )


def _message(document: Mapping[str, Any]) -> evaluation_pb2.EvaluationSpec:
    return json_format.ParseDict(dict(document), evaluation_pb2.EvaluationSpec())


def _digest(document: Mapping[str, Any], *settings: object) -> str:
    """Of what the document means: an absent field and its default, 2 and 2.0 are one. What has no meaning is taken as it stands."""
    with suppress(json_format.ParseError):
        document = json_format.MessageToDict(_message(document))
    what = json.dumps([document, *settings], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _arms(document: Mapping[str, Any]) -> str:
    """`v1, v2, v3 +5`."""
    baseline = document.get("baseline")
    arms = document.get("arms")
    names = sorted(arms if isinstance(arms, Mapping) else (), key=lambda name: (name != baseline, name))
    shown = list(names)
    while len(", ".join(shown)) > _MOST_SHOWN and len(shown) > 1:
        shown.pop()
    hidden = len(names) - len(shown)
    return ", ".join(shown)[: 2 * _MOST_SHOWN] + (f" +{hidden}" if hidden else "")
