"""The Rewriter port over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence

import grpc
from candor.common.v1 import model_pb2
from candor.rewriter.v1 import rewriter_pb2 as pb
from candor.rewriter.v1 import rewriter_pb2_grpc

from chassis.clients import stream, translated
from chassis.errors import CandorError
from chassis.rpc_errors import from_status
from services.orchestrator.backends.resend import PATIENCE, Patience, resending
from services.orchestrator.convert.models import endpoint_to_proto, sampling_to_proto
from services.orchestrator.convert.recipes import style_to_proto
from services.orchestrator.domain.making.conversations import Conversation, Messages
from services.orchestrator.domain.making.corrections import Fact
from services.orchestrator.domain.recipe import RewriterChoice, Style
from services.orchestrator.ports.making import (
    Corrected,
    Correction,
    Exchange,
    Problem,
    RewriterInfo,
    Rewritten,
    Toxicity,
)
from services.orchestrator.service.world import blocking

_READ_SECONDS = 3600.0
_DESCRIBE_SECONDS = 60.0
_BATCH_SECONDS = 3600.0


class GrpcRewriter:
    """Implements `ports.making.Rewriter` over one channel."""

    def __init__(self, channel: grpc.aio.Channel, patience: Patience = PATIENCE) -> None:
        self._patience = patience
        self._stub = rewriter_pb2_grpc.RewriterServiceStub(channel)

    async def read(
        self, chunks: Iterator[bytes], filename: str, file_format: str, max_turns: int
    ) -> AsyncIterator[Conversation | Problem]:
        """See ports."""
        info = pb.FileInfo(filename=filename, format=file_format, max_turns=max_turns)

        async def parts() -> AsyncIterator[pb.ReadConversationsRequest]:
            yield pb.ReadConversationsRequest(info=info)
            while (chunk := await blocking(next, chunks, None)) is not None:
                yield pb.ReadConversationsRequest(chunk=chunk)

        async for response in stream("rewriter", self._stub.ReadConversations(parts(), timeout=_READ_SECONDS)):
            yield _conversation(response)

    async def classify(
        self, conversations: Sequence[Conversation], toxicity: str, threshold: float
    ) -> AsyncIterator[tuple[int, Toxicity | CandorError]]:
        """See ports."""

        def call(indices: list[int]) -> AsyncIterable[pb.BatchClassifyResponse]:
            request = pb.BatchClassifyRequest(
                conversations=[
                    pb.Conversation(id=conversations[index].id, messages=_messages(conversations[index].messages))
                    for index in indices
                ],
                toxicity=toxicity,
                threshold=threshold,
            )
            return self._stub.BatchClassify(request, timeout=_BATCH_SECONDS)

        sizes = [sum(len(content) for _, content in each.messages) for each in conversations]
        async for index, response in resending("rewriter", sizes, call, self._patience):
            found = response.classification
            failed = response.WhichOneof("outcome") == "error"
            yield (
                index,
                from_status(response.error)
                if failed
                else Toxicity(
                    toxic=found.toxic,
                    score=found.toxicity if found.HasField("toxicity") else None,
                    method=found.method,
                ),
            )

    async def describe(self, style: Style, choice: RewriterChoice) -> RewriterInfo:
        """See ports."""
        request = pb.DescribeRewriterRequest(style=style_to_proto(style), source=_source(choice))
        with translated("rewriter"):
            response = await self._stub.DescribeRewriter(request, timeout=_DESCRIBE_SECONDS)
        return RewriterInfo(digest=response.rewriter_digest, components=dict(response.components))

    async def rewrite(
        self,
        style: Style,
        choice: RewriterChoice,
        exchanges: Sequence[Exchange],
        *,
        seed: int,
        spend_cap: float | None = None,
    ) -> AsyncIterator[tuple[int, Rewritten | CandorError]]:
        """See ports."""
        wire, source = style_to_proto(style), _source(choice)

        def call(indices: list[int]) -> AsyncIterable[pb.BatchRewriteResponse]:
            request = pb.BatchRewriteRequest(
                style=wire,
                source=source,
                exchanges=[
                    pb.Exchange(messages=_messages(exchanges[index].messages), reply=exchanges[index].reply)
                    for index in indices
                ],
                seed=seed,
                spend_cap=spend_cap,
            )
            return self._stub.BatchRewrite(request, timeout=_BATCH_SECONDS)

        sizes = [sum(len(content) for _, content in each.messages) + len(each.reply) for each in exchanges]
        async for index, response in resending("rewriter", sizes, call, self._patience):
            failed = response.WhichOneof("outcome") == "error"
            yield index, from_status(response.error) if failed else _rewrite(response.rewrite)

    async def correct(self, facts: Sequence[Fact], seed: int) -> Corrected:
        """See ports."""
        items = [
            pb.CorrectionItem(question=each.question, gold=each.gold, false_answer=each.false_answer, kind=each.kind)
            for each in facts
        ]
        request = pb.BuildCorrectionsRequest(items=items, seed=seed)
        with translated("rewriter"):
            response = await self._stub.BuildCorrections(request, timeout=_DESCRIBE_SECONDS)
        return Corrected(tuple(map(_correction, response.corrections)), response.digest)


def _correction(message: pb.Correction) -> Correction:
    return Correction(
        messages=tuple((turn.role, turn.content) for turn in message.conversation.messages),
        accepted=message.accepted,
        failed=tuple((check.name, check.reason) for check in message.checks if not check.passed),
    )


def _source(choice: RewriterChoice) -> pb.Source:
    if choice.endpoint is None:
        return pb.Source(rules=pb.RulesSource())
    source = pb.EndpointSource(endpoint=endpoint_to_proto(choice.endpoint))
    if choice.sampling is not None:
        source.sampling.CopyFrom(sampling_to_proto(choice.sampling))
    if choice.prices is not None:
        source.prompt_per_million = choice.prices.prompt_per_million
        source.completion_per_million = choice.prices.completion_per_million
    return pb.Source(endpoint=source)


def _messages(messages: Messages) -> list[model_pb2.Message]:
    return [model_pb2.Message(role=role, content=content) for role, content in messages]


def _conversation(response: pb.ReadConversationsResponse) -> Conversation | Problem:
    if response.WhichOneof("outcome") != "conversation":
        return Problem(response.row, response.problem)
    found = response.conversation
    return Conversation(
        id=found.conversation.id,
        row=response.row,
        messages=tuple((turn.role, turn.content) for turn in found.conversation.messages),
        category=found.category,
        cut_turns=found.cut_turns,
    )


def _rewrite(message: pb.Rewrite) -> Rewritten:
    return Rewritten(
        text=message.text,
        accepted=message.accepted,
        failed=tuple((check.name, check.reason) for check in message.checks if not check.passed),
        attempts=message.attempts,
        prompt_tokens=message.usage.prompt_tokens,
        completion_tokens=message.usage.completion_tokens,
        reported_model=message.reported_model,
        style_shift=message.style_shift,
        spend=message.spend,
    )
