"""gRPC in, use case, gRPC out. Errors are raised; the interceptor turns them into statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from services.inference import convert
from services.inference.service.inference import InferenceService


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Translates only."""

    def __init__(self, service: InferenceService) -> None:
        self._service = service

    async def DescribeModel(self, request: pb.DescribeModelRequest, context: Any) -> pb.DescribeModelResponse:
        """See the proto."""
        identity = await self._service.describe(convert.spec_from_proto(request.model))
        return pb.DescribeModelResponse(identity=convert.identity_to_proto(identity))

    async def CheckModel(self, request: pb.CheckModelRequest, context: Any) -> pb.CheckModelResponse:
        """See the proto."""
        check = await self._service.check(
            convert.spec_from_proto(request.model),
            convert.sampling_from_proto(request.sampling),
            convert.spec_from_proto(request.base) if request.HasField("base") else None,
        )
        return convert.check_to_proto(check)

    async def Generate(self, request: pb.GenerateRequest, context: Any) -> pb.GenerateResponse:
        """See the proto."""
        reply, identity = await self._service.generate(
            convert.spec_from_proto(request.model),
            convert.sampling_from_proto(request.sampling),
            convert.prompt_from_proto(request.prompt),
            request.expected_digest,
        )
        return pb.GenerateResponse(reply=convert.reply_to_proto(reply, identity))

    async def BatchGenerate(
        self, request: pb.BatchGenerateRequest, context: Any
    ) -> AsyncIterator[pb.BatchGenerateResponse]:
        """See the proto."""
        outcomes = self._service.batch(
            convert.spec_from_proto(request.model),
            convert.sampling_from_proto(request.sampling),
            [convert.prompt_from_proto(prompt) for prompt in request.prompts],
            request.expected_digest,
        )
        async with aclosing(outcomes) as stream:
            async for index, outcome, identity in stream:
                yield convert.outcome_to_proto(index, outcome, identity)
