"""One evaluation as lines of text: how it stands, and the tail of its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from candor.orchestrator.v1 import orchestrator_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from candor_cli.names import identifier
from candor_cli.view.progress import counts
from chassis.text import plain


def lines(
    evaluation: orchestrator_pb2.Evaluation, events: Sequence[orchestrator_pb2.EvaluationEvent], state: str
) -> Iterator[str]:
    """What there is to say, a field a line, then the events, oldest first."""
    fields = {
        "evaluation": identifier(evaluation.name),
        "name": plain(evaluation.spec.name),
        "state": state,
        "verdict": evaluation.verdict,
        "reason": plain(evaluation.reason, 2_000),
        "cause": evaluation.failure_reason,
        "progress": counts(evaluation.progress),
        "created": _time(evaluation.create_time),
        "created by": plain(evaluation.created_by),
        "updated": _time(evaluation.update_time),
    }
    for label, value in fields.items():
        if value:
            yield f"{label:11} {value}"
    for event in events:
        said = [
            event.progress.stage and f"{event.progress.stage}: {counts(event.progress)}",
            plain(event.message, 2_000),
        ]
        yield f"{_time(event.time)}  {event.state:9}  {'; '.join(filter(None, said))}"


def _time(moment: Timestamp) -> str:
    return moment.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC")
