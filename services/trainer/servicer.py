"""gRPC in, use case, gRPC out. Errors are raised; the interceptor turns them into statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from candor.trainer.v1 import trainer_pb2 as pb
from candor.trainer.v1 import trainer_pb2_grpc

from services.trainer import convert
from services.trainer.service.trainer import TrainerService


class TrainerServicer(trainer_pb2_grpc.TrainerServiceServicer):
    """Translates only."""

    def __init__(self, service: TrainerService) -> None:
        self._service = service

    async def CreateTrainingJob(self, request: pb.CreateTrainingJobRequest, context: Any) -> pb.TrainingJob:
        """See the proto."""
        return convert.job_to_proto(await self._service.create(convert.spec_from_proto(request.spec)))

    async def CheckTrainingJob(self, request: pb.CheckTrainingJobRequest, context: Any) -> pb.Preflight:
        """See the proto."""
        return convert.preflight_to_proto(await self._service.check(convert.spec_from_proto(request.spec)))

    async def GetTrainingJob(self, request: pb.GetTrainingJobRequest, context: Any) -> pb.TrainingJob:
        """See the proto."""
        return convert.job_to_proto(self._service.get(request.name))

    async def ListTrainingJobs(self, request: pb.ListTrainingJobsRequest, context: Any) -> pb.ListTrainingJobsResponse:
        """See the proto."""
        jobs, token = self._service.list(request.page_size, request.page_token)
        return pb.ListTrainingJobsResponse(jobs=[convert.job_to_proto(job) for job in jobs], next_page_token=token)

    async def CancelTrainingJob(self, request: pb.CancelTrainingJobRequest, context: Any) -> pb.TrainingJob:
        """See the proto."""
        return convert.job_to_proto(await self._service.cancel(request.name))

    async def DeleteTrainingJob(
        self, request: pb.DeleteTrainingJobRequest, context: Any
    ) -> pb.DeleteTrainingJobResponse:
        """See the proto."""
        await self._service.delete(request.name)
        return pb.DeleteTrainingJobResponse()

    async def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: Any
    ) -> AsyncIterator[pb.TrainingEvent]:
        """See the proto."""
        async with aclosing(self._service.watch(request.name, request.after_sequence)) as events:
            async for event in events:
                yield convert.event_to_proto(event)
