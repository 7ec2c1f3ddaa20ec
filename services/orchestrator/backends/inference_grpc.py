"""The Inference port over gRPC: batches, and only what is missing again when a stream breaks."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from functools import partial

import grpc
from candor.common.v1 import model_pb2
from candor.inference.v1 import inference_pb2, inference_pb2_grpc

from chassis.errors import CandorError
from chassis.rpc_errors import from_status
from services.orchestrator.backends.resend import PATIENCE, Patience, patiently, resending
from services.orchestrator.convert.models import model_to_proto, sampling_from_proto, sampling_to_proto
from services.orchestrator.domain.spec import Arm, Sampling
from services.orchestrator.domain.subjects import Liveness
from services.orchestrator.ports import Check, Identity, Prompt, Reply, Usage

_DESCRIBE_SECONDS = 600.0  # hashing and loading a large checkpoint
_BATCH_SECONDS = 3600.0


class GrpcInference:
    """Implements `ports.Inference` over one channel."""

    def __init__(self, channel: grpc.aio.Channel, patience: Patience = PATIENCE) -> None:
        self._patience = patience
        self._stub = inference_pb2_grpc.InferenceServiceStub(channel)

    def check_target(self, arm: Arm) -> None:
        """See ports: one service takes every arm."""

    async def describe(self, arm: Arm) -> Identity:
        """See ports."""
        request = inference_pb2.DescribeModelRequest(model=model_to_proto(arm))
        call = partial(self._stub.DescribeModel, request, timeout=_DESCRIBE_SECONDS)
        response = await patiently("inference", call, self._patience)
        found = response.identity
        return Identity(
            digest=found.digest,
            verifiable=found.verifiable,
            backend=found.backend,
            components=dict(found.components),
        )

    async def check(self, arm: Arm, sampling: Sampling, base: Arm | None = None) -> Check:
        """See ports."""
        request = inference_pb2.CheckModelRequest(
            model=model_to_proto(arm),
            sampling=sampling_to_proto(sampling),
            base=model_to_proto(base) if base is not None else None,
        )
        call = partial(self._stub.CheckModel, request, timeout=_DESCRIBE_SECONDS)
        response = await patiently("inference", call, self._patience)
        return Check(
            sampling=sampling_from_proto(response.accepted_sampling),
            reported_model=response.reported_model,
            notes=tuple(response.notes),
            liveness=_liveness(response.liveness) if response.HasField("liveness") else None,
        )

    async def generate(
        self, arm: Arm, sampling: Sampling, digest: str, prompts: Sequence[Prompt]
    ) -> AsyncIterator[tuple[int, Reply | CandorError]]:
        """See ports."""
        model, wanted = model_to_proto(arm), sampling_to_proto(sampling)

        def call(indices: list[int]) -> AsyncIterable[inference_pb2.BatchGenerateResponse]:
            request = inference_pb2.BatchGenerateRequest(
                model=model,
                sampling=wanted,
                expected_digest=digest,
                prompts=[_prompt(prompts[index]) for index in indices],
            )
            return self._stub.BatchGenerate(request, timeout=_BATCH_SECONDS)

        sizes = [sum(len(content) for _, content in prompt.messages) for prompt in prompts]
        async for index, response in resending("inference", sizes, call, self._patience):
            failed = response.WhichOneof("outcome") == "error"
            yield index, from_status(response.error) if failed else _reply(response.reply)


def _prompt(prompt: Prompt) -> inference_pb2.Prompt:
    messages = [model_pb2.Message(role=role, content=content) for role, content in prompt.messages]
    return inference_pb2.Prompt(messages=messages, seed=prompt.seed)


def _liveness(message: inference_pb2.Liveness) -> Liveness:
    return Liveness(
        alive=message.alive,
        difference=message.difference,
        floor=message.floor,
        probes=message.probes,
        reason=message.reason,
        measure=message.measure or "logprobs",
    )


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
