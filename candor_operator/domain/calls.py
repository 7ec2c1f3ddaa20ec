"""The calls that a reconcile may ask for, one at a time."""

from __future__ import annotations

from dataclasses import dataclass

from candor.orchestrator.v1 import orchestrator_pb2

OPEN_STATES = ("PENDING", "RUNNING")


@dataclass(frozen=True, slots=True)
class Create:
    """Start the evaluation, or go on with the one that this id has started.

    Attributes:
        reuse: Take replies of an earlier evaluation that differs in the gate alone.
    """

    request_id: str
    reuse: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Ask how the evaluation does."""

    evaluation: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the evaluation, unless it is not one of this resource."""

    evaluation: str
    uid: str


@dataclass(frozen=True, slots=True)
class Find:
    """Look for an evaluation that was asked for and whose name was never learnt: by the id, or what the resource has running."""

    request_id: str
    uid: str


Call = Create | Look | Cancel | Find


def started_by(evaluation: orchestrator_pb2.Evaluation, uid: str) -> bool:
    """Whether a resource has started it, be it for an earlier generation that differs in the gate alone."""
    return evaluation.request_id.startswith(f"{uid}-")
