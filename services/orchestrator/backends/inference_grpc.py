"""The Inference port over gRPC: batches, and only what is missing again when a stream breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc
from candor.common.v1 import model_pb2
from candor.inference.v1 import inference_pb2, inference_pb2_grpc

from chassis.clients import stream, translated
from chassis.errors import CandorError, Reason
from chassis.rpc_errors import from_status
from services.orchestrator.convert.documents import model_to_proto, sampling_from_proto, sampling_to_proto
from services.orchestrator.domain.spec import Arm, Sampling
from services.orchestrator.ports import Check, Identity, Prompt, Reply, Usage

_DESCRIBE_SECONDS = 600.0  # hashing and loading a large checkpoint
_BATCH_SECONDS = 3600.0
_FRUITLESS_STREAMS = 3  # broken in a row without a single reply
# The stream broke on its way. What the subject itself says is not asked for twice: inference has tried before.
_BROKEN = (Reason.SERVICE_UNAVAILABLE, Reason.DEADLINE_EXCEEDED)


class GrpcInference:
    """Implements `ports.Inference` over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = inference_pb2_grpc.InferenceServiceStub(channel)

    def check_target(self, arm: Arm) -> None:
        """See ports: one service takes every arm."""

    async def describe(self, arm: Arm) -> Identity:
        """See ports."""
        request = inference_pb2.DescribeModelRequest(model=model_to_proto(arm))
        with translated("inference"):
            response = await self._stub.DescribeModel(request, timeout=_DESCRIBE_SECONDS)
        found = response.identity
        return Identity(
            digest=found.digest,
            verifiable=found.verifiable,
            backend=found.backend,
            components=dict(found.components),
        )

    async def check(self, arm: Arm, sampling: Sampling) -> Check:
        """See ports."""
        request = inference_pb2.CheckModelRequest(model=model_to_proto(arm), sampling=sampling_to_proto(sampling))
        with translated("inference"):
            response = await self._stub.CheckModel(request, timeout=_DESCRIBE_SECONDS)
        return Check(
            sampling=sampling_from_proto(response.accepted_sampling),
            reported_model=response.reported_model,
            notes=tuple(response.notes),
        )

    async def generate(
        self, arm: Arm, sampling: Sampling, digest: str, prompts: Sequence[Prompt]
    ) -> AsyncIterator[tuple[int, Reply | CandorError]]:
        """See ports."""
        missing = list(range(len(prompts)))
        fruitless = 0
        while missing:
            request = inference_pb2.BatchGenerateRequest(
                model=model_to_proto(arm),
                sampling=sampling_to_proto(sampling),
                expected_digest=digest,
                prompts=[_prompt(prompts[index]) for index in missing],
            )
            done: set[int] = set()
            broken = CandorError(Reason.SERVICE_UNAVAILABLE, "inference: the stream ended before its last reply")
            try:
                async for response in stream("inference", self._stub.BatchGenerate(request, timeout=_BATCH_SECONDS)):
                    index = missing[response.index]
                    done.add(index)
                    failed = response.WhichOneof("outcome") == "error"
                    yield index, from_status(response.error) if failed else _reply(response.reply)
            except CandorError as error:
                if error.reason not in _BROKEN:
                    raise
                broken = error
            fruitless = 0 if done else fruitless + 1
            missing = [index for index in missing if index not in done]
            if missing and fruitless == _FRUITLESS_STREAMS:
                raise broken


def _prompt(prompt: Prompt) -> inference_pb2.Prompt:
    messages = [model_pb2.Message(role=role, content=content) for role, content in prompt.messages]
    return inference_pb2.Prompt(messages=messages, seed=prompt.seed)


def _reply(message: inference_pb2.Reply) -> Reply:
    return Reply(
        text=message.text,
        finish_reason=message.finish_reason,
        usage=usage_from_proto(message.usage),
        latency_seconds=message.latency_seconds,
        attempts=message.attempts,
        reported_model=message.reported_model,
    )


def usage_from_proto(usage: model_pb2.TokenUsage) -> Usage:
    """Tokens that were counted; 0 where the backend did not say."""
    return Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
