"""Protos <-> domain values. Nothing is decided here but the defaults that the proto states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import PurePath

from candor.common.v1 import model_pb2
from candor.rewriter.v1 import rewriter_pb2 as pb

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from chassis.rpc_errors import to_status
from services.rewriter.domain import corrections, styles, toxicity
from services.rewriter.domain.reading.reader import DEFAULT_MAX_TURNS
from services.rewriter.domain.values import (
    Check,
    Classification,
    Conversation,
    EndpointSpec,
    Exchange,
    Problem,
    Read,
    Rewrite,
    RulesSpec,
    Sampling,
    SourceSpec,
    Style,
    Turn,
    Usage,
)
from services.rewriter.service.rewriter import FileInfo, RewriteRequest

DEFAULT_ATTEMPTS = 2


async def file_from_proto(
    requests: AsyncIterator[pb.ReadConversationsRequest],
) -> tuple[FileInfo, AsyncIterator[bytes]]:
    """What the first message says, and the chunks that follow. Raises CandorError where they come in another order."""
    first = await anext(aiter(requests), pb.ReadConversationsRequest())
    if first.WhichOneof("part") != "info":
        raise invalid("the stream must start with `info`", [FieldViolation("info", "is required, before any chunk")])
    info = first.info

    async def chunks() -> AsyncIterator[bytes]:
        async for request in requests:
            if request.WhichOneof("part") != "chunk":
                raise CandorError(Reason.INVALID_REQUEST, "after `info` the stream holds only chunks")
            yield request.chunk

    return (
        FileInfo(
            filename=PurePath(info.filename).name,
            form=info.format,
            max_turns=info.max_turns if info.HasField("max_turns") else DEFAULT_MAX_TURNS,
        ),
        chunks(),
    )


def read_to_proto(found: Read | Problem) -> pb.ReadConversationsResponse:
    """One row."""
    if isinstance(found, Problem):
        return pb.ReadConversationsResponse(row=found.row, problem=found.why)
    return pb.ReadConversationsResponse(
        row=found.row,
        conversation=pb.ClassifiedConversation(
            conversation=_conversation(found.conversation), category=found.category, cut_turns=found.cut
        ),
    )


def classifying_from_proto(request: pb.BatchClassifyRequest) -> tuple[list[Conversation], str, float]:
    """Conversations, meter (empty: the server's), threshold."""
    return (
        [Conversation(item.id, _turns(item.messages)) for item in request.conversations],
        request.toxicity,
        request.threshold if request.HasField("threshold") else toxicity.DEFAULT_THRESHOLD,
    )


def classification_to_proto(index: int, outcome: Classification | CandorError) -> pb.BatchClassifyResponse:
    """One line of a batch."""
    if isinstance(outcome, CandorError):
        return pb.BatchClassifyResponse(index=index, error=to_status(outcome))
    return pb.BatchClassifyResponse(
        index=index,
        classification=pb.Classification(
            category=outcome.category, toxicity=outcome.toxicity, toxic=outcome.toxic, method=outcome.method
        ),
    )


def rewriting_from_proto(request: pb.BatchRewriteRequest) -> RewriteRequest:
    """A batch; what is missing stays missing for validation to name."""
    return RewriteRequest(
        style=style_from_proto(request.style),
        source=source_from_proto(request.source),
        exchanges=[Exchange(_turns(item.messages), item.reply) for item in request.exchanges],
        spend_cap=request.spend_cap if request.HasField("spend_cap") else None,
        attempts=request.attempts if request.HasField("attempts") else DEFAULT_ATTEMPTS,
        seed=request.seed,
    )


def style_from_proto(style: pb.Style) -> Style | None:
    """A style; None where the request names none."""
    kind = style.WhichOneof("style")
    if kind is None:
        return None
    if kind == "builtin":
        return styles.builtin(style.builtin)
    told = style.definition
    return Style(
        name=told.name,
        instruction=told.instruction,
        direction=told.direction or "same",
        openings=tuple(told.openings),
        closings=tuple(told.closings),
        replacements=dict(told.replacements),
    )


def source_from_proto(source: pb.Source) -> SourceSpec | None:
    """A source; None where the request names none."""
    kind = source.WhichOneof("source")
    if kind is None:
        return None
    if kind == "rules":
        return RulesSpec()
    told = source.endpoint
    return EndpointSpec(
        base_url=told.endpoint.base_url,
        model=told.endpoint.model,
        api_key_env=told.endpoint.api_key_env,
        credential=told.endpoint.credential,
        sampling=_sampling(told.sampling),
        prompt_price=told.prompt_per_million if told.HasField("prompt_per_million") else None,
        completion_price=told.completion_per_million if told.HasField("completion_per_million") else None,
    )


def _sampling(told: model_pb2.Sampling) -> Sampling:
    default = Sampling()
    return Sampling(
        temperature=told.temperature if told.HasField("temperature") else default.temperature,
        max_tokens=told.max_tokens if told.HasField("max_tokens") else default.max_tokens,
        top_p=told.top_p if told.HasField("top_p") else None,
        omit=tuple(told.omit),
        max_tokens_field=told.max_tokens_field or default.max_tokens_field,
    )


def rewrite_to_proto(index: int, outcome: Rewrite | CandorError) -> pb.BatchRewriteResponse:
    """One line of a batch."""
    if isinstance(outcome, CandorError):
        return pb.BatchRewriteResponse(index=index, error=to_status(outcome))
    return pb.BatchRewriteResponse(
        index=index,
        rewrite=pb.Rewrite(
            text=outcome.text,
            accepted=outcome.accepted,
            checks=_checks(outcome.checks),
            attempts=outcome.attempts,
            usage=_usage(outcome.usage),
            reported_model=outcome.reported_model,
            rewriter_digest=outcome.digest,
            style_shift=outcome.style_shift,
            spend=outcome.spend,
        ),
    )


def styles_to_proto(known: Sequence[tuple[Style, str]]) -> pb.ListStylesResponse:
    """The built-in styles."""
    return pb.ListStylesResponse(
        styles=[
            pb.StyleInfo(name=style.name, description=style.description, direction=style.direction, digest=digest)
            for style, digest in known
        ]
    )


def corrections_from_proto(request: pb.BuildCorrectionsRequest) -> tuple[list[corrections.Item], int]:
    """Items and seed."""
    items = [
        corrections.Item(item.question, item.gold, item.false_answer, item.kind or corrections.KINDS[0])
        for item in request.items
    ]
    return items, request.seed


def corrections_to_proto(found: Sequence[corrections.Correction]) -> pb.BuildCorrectionsResponse:
    """One for each item."""
    return pb.BuildCorrectionsResponse(
        corrections=[
            pb.Correction(
                conversation=_conversation(one.conversation),
                accepted=one.accepted,
                checks=_checks(one.checks),
                template=one.template,
            )
            for one in found
        ],
        digest=corrections.digest(),
    )


def _turns(messages: Iterable[model_pb2.Message]) -> tuple[Turn, ...]:
    return tuple(Turn(message.role, message.content) for message in messages)


def _conversation(conversation: Conversation) -> pb.Conversation:
    messages = [model_pb2.Message(role=turn.role, content=turn.content) for turn in conversation.turns]
    return pb.Conversation(id=conversation.id, messages=messages)


def _checks(checks: Iterable[Check]) -> list[pb.Check]:
    return [pb.Check(name=check.name, passed=check.passed, reason=check.reason) for check in checks]


def _usage(usage: Usage | None) -> model_pb2.TokenUsage | None:
    if usage is None:
        return None
    return model_pb2.TokenUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )
