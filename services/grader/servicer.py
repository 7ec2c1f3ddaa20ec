"""gRPC in, use case, gRPC out. Errors are raised; the interceptor turns them into statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from candor.grader.v1 import grader_pb2 as pb
from candor.grader.v1 import grader_pb2_grpc

from services.grader import convert
from services.grader.service.grader import GraderService


class GraderServicer(grader_pb2_grpc.GraderServiceServicer):
    """Translates only."""

    def __init__(self, service: GraderService) -> None:
        self._service = service

    async def GradeAnswers(
        self, request: pb.GradeAnswersRequest, context: Any
    ) -> AsyncIterator[pb.GradeAnswersResponse]:
        """See the proto."""
        outcomes = self._service.grade(
            [convert.case_from_proto(case) for case in request.cases],
            convert.judge_from_proto(request),
            request.refusal_profile or convert.DEFAULT_PROFILE,
        )
        async with aclosing(outcomes) as stream:
            async for index, outcome in stream:
                yield convert.grade_to_proto(index, outcome)

    async def ScoreTexts(self, request: pb.ScoreTextsRequest, context: Any) -> AsyncIterator[pb.ScoreTextsResponse]:
        """See the proto."""
        async with aclosing(self._service.score(*convert.scoring_from_proto(request))) as stream:
            async for index, outcome in stream:
                yield convert.scores_to_proto(index, outcome)

    async def ListMetrics(self, request: pb.ListMetricsRequest, context: Any) -> pb.ListMetricsResponse:
        """See the proto."""
        return convert.metrics_to_proto(self._service.metrics(), self._service.estimators())

    async def GetGraderInfo(self, request: pb.GetGraderInfoRequest, context: Any) -> pb.GetGraderInfoResponse:
        """See the proto."""
        return convert.info_to_proto(await self._service.info(convert.judge_from_proto(request)))
