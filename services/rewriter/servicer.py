"""gRPC in, use case, gRPC out. Errors are raised; the interceptor turns them into statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from candor.rewriter.v1 import rewriter_pb2 as pb
from candor.rewriter.v1 import rewriter_pb2_grpc

from services.rewriter import convert
from services.rewriter.service.rewriter import RewriterService


class RewriterServicer(rewriter_pb2_grpc.RewriterServiceServicer):
    """Translates only."""

    def __init__(self, service: RewriterService) -> None:
        self._service = service

    async def ReadConversations(
        self, request_iterator: AsyncIterator[pb.ReadConversationsRequest], context: Any
    ) -> AsyncIterator[pb.ReadConversationsResponse]:
        """See the proto."""
        info, chunks = await convert.file_from_proto(request_iterator)
        async with aclosing(self._service.read(info, chunks)) as stream:
            async for found in stream:
                yield convert.read_to_proto(found)

    async def BatchClassify(
        self, request: pb.BatchClassifyRequest, context: Any
    ) -> AsyncIterator[pb.BatchClassifyResponse]:
        """See the proto."""
        async with aclosing(self._service.classify(*convert.classifying_from_proto(request))) as stream:
            async for index, outcome in stream:
                yield convert.classification_to_proto(index, outcome)

    async def BatchRewrite(
        self, request: pb.BatchRewriteRequest, context: Any
    ) -> AsyncIterator[pb.BatchRewriteResponse]:
        """See the proto."""
        async with aclosing(self._service.rewrite(convert.rewriting_from_proto(request))) as stream:
            async for index, outcome in stream:
                yield convert.rewrite_to_proto(index, outcome)

    async def DescribeRewriter(self, request: pb.DescribeRewriterRequest, context: Any) -> pb.DescribeRewriterResponse:
        """See the proto."""
        style, source = convert.style_from_proto(request.style), convert.source_from_proto(request.source)
        digest, components = await self._service.describe(style, source)
        return pb.DescribeRewriterResponse(rewriter_digest=digest, components=components)

    async def ListStyles(self, request: pb.ListStylesRequest, context: Any) -> pb.ListStylesResponse:
        """See the proto."""
        return convert.styles_to_proto(self._service.styles())

    async def BuildCorrections(self, request: pb.BuildCorrectionsRequest, context: Any) -> pb.BuildCorrectionsResponse:
        """See the proto."""
        return convert.corrections_to_proto(self._service.corrections(*convert.corrections_from_proto(request)))
