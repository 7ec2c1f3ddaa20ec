"""Evaluations, events, plans and responses as protos."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from candor.common.v1 import model_pb2
from candor.grader.v1 import grader_pb2
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2
from google.protobuf import timestamp_pb2

from chassis.errors import FieldViolation, invalid
from services.orchestrator.domain.record import Record
from services.orchestrator.ports import EvaluationRow, EventRow, TaskInfo
from services.orchestrator.service.files import Upload
from services.orchestrator.service.plan import Plan

_PREFIX = "evaluations/"
_COUNTS = (
    "responses_done",
    "responses_total",
    "graded",
    "failed",
    "reused",
    "prompt_tokens",
    "completion_tokens",
    "looks_done",
    "looks_total",
    "stage_done",
    "stage_total",
)


def evaluation_id(name: str, field: str = "name") -> str:
    """The id in a resource name. Raises CandorError INVALID_REQUEST."""
    found = name.removeprefix(_PREFIX)
    if not name.startswith(_PREFIX) or not found or "/" in found or len(found) > 128:
        raise invalid("the name is not valid", [FieldViolation(field, f"{name!r} is not of the form evaluations/ID")])
    return found


def evaluation_to_proto(row: EvaluationRow) -> orchestrator_pb2.Evaluation:
    """The resource."""
    spec = evaluation_pb2.EvaluationSpec()
    spec.ParseFromString(row.spec)
    return orchestrator_pb2.Evaluation(
        name=_PREFIX + row.id,
        spec=spec,
        state=row.state,
        verdict=row.verdict,
        reason=row.reason,
        failure_reason=row.failure_reason,
        progress=progress_to_proto(row.progress),
        create_time=_time(row.created),
        update_time=_time(row.updated),
        document_digest=row.document_digest,
        verdict_json=row.verdict_json,
        limit=row.limit,
        created_by=row.created_by,
        request_id=row.request_id,
    )


def listed_to_proto(row: EvaluationRow) -> orchestrator_pb2.Evaluation:
    """The resource as a list has it: without verdict.json, of which a page would be too large for a message."""
    message = evaluation_to_proto(row)
    message.ClearField("verdict_json")
    return message


def progress_to_proto(progress: Mapping[str, Any]) -> orchestrator_pb2.Progress:
    """Counts; `spend` stays absent without prices, `training` while no arm trains."""
    message = orchestrator_pb2.Progress(stage=progress.get("stage", ""))
    for name in _COUNTS:
        setattr(message, name, progress.get(name, 0))
    if progress.get("spend") is not None:
        message.spend = progress["spend"]
    for arm in progress.get("training", ()):
        message.training.add(**arm)
    return message


def event_to_proto(row: EventRow) -> orchestrator_pb2.EvaluationEvent:
    """One line of history."""
    return orchestrator_pb2.EvaluationEvent(
        sequence=row.sequence,
        time=_time(row.time),
        state=row.state,
        message=row.message,
        progress=progress_to_proto(row.progress),
    )


def plan_to_proto(plan: Plan) -> orchestrator_pb2.Plan:
    """A plan."""
    message = orchestrator_pb2.Plan(
        tasks=[
            orchestrator_pb2.TaskPlan(name=task.name, items=task.asked, digest=task.digest, notes=task.notes)
            for task in plan.tasks
        ],
        cells_per_item=plan.cells_per_item,
        items=plan.items,
        calls=plan.cost.calls,
        expected_calls=plan.expected_calls,
        prompt_tokens=plan.cost.prompt_tokens,
        completion_tokens=plan.cost.completion_tokens,
        cost=plan.cost.cost,
        can_conclude=plan.can_conclude,
        warnings=plan.warnings,
        deterministic_share=plan.deterministic_share,
        reusable=plan.reusable,
    )
    for made in plan.making:
        message.making.add(
            base=made.base,
            arms=made.arms,
            conversations=made.conversations,
            validation_prompts=made.validation,
            replies=made.replies,
            rewriting_calls=made.rewriting_calls,
            rewrites_known=made.known,
            prompt_tokens=made.prompt_tokens,
            completion_tokens=made.completion_tokens,
            cost=made.cost,
            training_steps=made.steps,
            training_tokens=made.training_tokens,
            validation_replies=made.validation_replies,
            notes=made.notes,
            provider_tokens=made.provider_tokens,
            provider_cost=made.provider_cost,
            validation_cost=made.validation_cost,
        )
    for gate in plan.gates:
        message.gates.add(
            gate=gate.gate,
            candidate=gate.candidate,
            critical=gate.critical,
            margin_pp=gate.margin_pp,
            items=gate.items,
            cells=gate.cells,
            pass_if_equal=gate.pass_if_equal,
            fail_if_twice_margin=gate.fail_if_twice_margin,
            pass_at_margin=gate.pass_at_margin,
            minimum_detectable_pp=gate.minimum_detectable_pp,
            items_for_80=gate.items_for_80,
        )
    return message


def record_to_proto(record: Record) -> orchestrator_pb2.ResponseRecord:
    """A reply with its grade, as far as there is one."""
    message = orchestrator_pb2.ResponseRecord(
        arm=record.arm,
        task=record.task,
        item=record.item,
        context=record.context,
        belief=record.belief,
        repeat=record.repeat,
        prompt=[model_pb2.Message(role=role, content=content) for role, content in record.prompt],
        reply=record.reply,
        finish_reason=record.finish_reason,
        error=record.error,
    )
    if record.verdict:
        message.grade.CopyFrom(
            grader_pb2.AnswerGrade(
                verdict=record.verdict,
                adopts_belief=record.adopts_belief,
                decided_by=record.decided_by,
                rule=record.rule,
                final_claim=record.final_claim,
                judge_raw=record.judge_raw,
                judge_model=record.judge_model,
            )
        )
    return message


def task_to_proto(task: TaskInfo) -> orchestrator_pb2.TaskInfo:
    """A built-in task or a loader."""
    return orchestrator_pb2.TaskInfo(
        name=task.name, description=task.description, items=task.items, hub=task.hub, columns=task.columns
    )


async def upload_from_proto(requests: AsyncIterator[orchestrator_pb2.UploadDatasetRequest]) -> Upload:
    """The whole upload. Raises CandorError as soon as it cannot become one."""
    upload: Upload | None = None
    async for request in requests:
        part = request.WhichOneof("part")
        if (part == "info") == (upload is not None) or part is None:
            field = FieldViolation("part", "the first message is info, every further one a chunk")
            raise invalid("the upload is out of order", [field])
        if upload is None:
            upload = Upload(request.info.digest, request.info.filename, request.info.size_bytes)
        else:
            upload.add(request.chunk)
    if upload is None:
        raise invalid("the upload is empty", [FieldViolation("part", "the first message is info")])
    return upload


def _time(seconds: float) -> timestamp_pb2.Timestamp:
    # Through integers: a float of seconds since 1970 has no exact nanoseconds.
    return timestamp_pb2.Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1_000_000) * 1000)
