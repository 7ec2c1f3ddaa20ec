"""The wire form of the use cases: translates and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from candor.orchestrator.v1 import orchestrator_pb2 as pb
from candor.orchestrator.v1 import orchestrator_pb2_grpc

from chassis.logs import caller
from chassis.tracing import traceparent
from services.orchestrator.convert.calibration import calibrated_to_proto, calibration_from_proto
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.convert.results import (
    evaluation_id,
    evaluation_to_proto,
    event_to_proto,
    listed_to_proto,
    plan_to_proto,
    record_to_proto,
    task_to_proto,
    upload_from_proto,
)
from services.orchestrator.ports import Runs
from services.orchestrator.service import queries
from services.orchestrator.service.calibrate import measure
from services.orchestrator.service.create import Order, create
from services.orchestrator.service.files import report_chunks
from services.orchestrator.service.plan import plan
from services.orchestrator.service.responses import Responses
from services.orchestrator.service.world import World, blocking

Context = grpc.aio.ServicerContext[Any, Any]


class OrchestratorServicer(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Implements candor.orchestrator.v1.OrchestratorService."""

    def __init__(self, world: World, runs: Runs) -> None:
        self._world = world
        self._runs = runs
        self._responses = Responses(world)

    async def CreateEvaluation(self, request: pb.CreateEvaluationRequest, context: Context) -> pb.Evaluation:
        """See the proto."""
        order = Order(
            spec=spec_from_proto(request.spec),
            data=request.spec.SerializeToString(deterministic=True),
            request_id=request.request_id,
            resume=request.resume or "auto",
            resume_id=evaluation_id(request.resume_name, "resume_name") if request.resume_name else "",
            allow_underpowered=request.allow_underpowered,
            limit=request.limit,
            caller=caller.get(),
            trace=traceparent.get(),
        )
        return evaluation_to_proto(await create(self._world, self._runs, order))

    async def GetEvaluation(self, request: pb.GetEvaluationRequest, context: Context) -> pb.Evaluation:
        """See the proto."""
        return evaluation_to_proto(await queries.get(self._world, evaluation_id(request.name)))

    async def ListEvaluations(self, request: pb.ListEvaluationsRequest, context: Context) -> pb.ListEvaluationsResponse:
        """See the proto."""
        page = await queries.list_evaluations(self._world, request.page_size, request.page_token)
        return pb.ListEvaluationsResponse(evaluations=map(listed_to_proto, page.rows), next_page_token=page.next_token)

    async def CancelEvaluation(self, request: pb.CancelEvaluationRequest, context: Context) -> pb.Evaluation:
        """See the proto."""
        row = await queries.cancel(self._world, self._runs, evaluation_id(request.name))
        return evaluation_to_proto(row)

    async def DeleteEvaluation(
        self, request: pb.DeleteEvaluationRequest, context: Context
    ) -> pb.DeleteEvaluationResponse:
        """See the proto."""
        await queries.delete(self._world, self._runs, evaluation_id(request.name))
        return pb.DeleteEvaluationResponse()

    async def WatchEvaluation(
        self, request: pb.WatchEvaluationRequest, context: Context
    ) -> AsyncIterator[pb.EvaluationEvent]:
        """See the proto."""
        name = evaluation_id(request.name)
        if request.last:
            for event in await queries.last_events(self._world, name, request.last):
                yield event_to_proto(event)
            return
        async for event in queries.watch(self._world, name, request.after_sequence):
            yield event_to_proto(event)

    async def PlanEvaluation(self, request: pb.PlanEvaluationRequest, context: Context) -> pb.Plan:
        """See the proto."""
        data = request.spec.SerializeToString(deterministic=True)
        spec = spec_from_proto(request.spec)
        return plan_to_proto(await plan(self._world, spec, data, request.limit, pilot=request.pilot))

    async def UploadDataset(
        self, request_iterator: AsyncIterator[pb.UploadDatasetRequest], context: Context
    ) -> pb.UploadDatasetResponse:
        """See the proto."""
        upload = await upload_from_proto(request_iterator)
        digest, stored = await upload.store(self._world)
        return pb.UploadDatasetResponse(digest=digest, stored=stored)

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        """See the proto."""
        return pb.ListTasksResponse(tasks=map(task_to_proto, await blocking(self._world.tasks.catalog)))

    async def ListResponses(self, request: pb.ListResponsesRequest, context: Context) -> pb.ListResponsesResponse:
        """See the proto."""
        page = await self._responses.page(
            evaluation_id(request.name), request.arm, request.page_size, request.page_token
        )
        return pb.ListResponsesResponse(responses=map(record_to_proto, page.records), next_page_token=page.next_token)

    async def GetReport(self, request: pb.GetReportRequest, context: Context) -> AsyncIterator[pb.ReportChunk]:
        """See the proto."""
        async for file, data in report_chunks(self._world, evaluation_id(request.name), request.files):
            yield pb.ReportChunk(file=file, data=data)

    async def CalibrateJudge(self, request: pb.CalibrateJudgeRequest, context: Context) -> pb.CalibrateJudgeResponse:
        """See the proto."""
        return calibrated_to_proto(await measure(self._world, *calibration_from_proto(request)))
