"""Protos <-> domain values. Nothing is decided here."""

from __future__ import annotations

from candor.common.v1 import model_pb2
from candor.inference.v1 import inference_pb2

from chassis.errors import CandorError
from chassis.rpc_errors import to_status
from services.inference.domain import model as d
from services.inference.domain.identity import Identity
from services.inference.domain.liveness import Liveness


def spec_from_proto(message: model_pb2.ModelSpec) -> d.ModelSpec:
    """A subject as the request names it; missing parts stay missing for validation to name."""
    source: d.Endpoint | d.Checkpoint | None = None
    kind = message.WhichOneof("source")
    if kind == "endpoint":
        source = d.Endpoint(
            base_url=message.endpoint.base_url,
            model=message.endpoint.model,
            api_key_env=message.endpoint.api_key_env,
            credential=message.endpoint.credential,
        )
    elif kind == "checkpoint":
        source = d.Checkpoint(path=message.checkpoint.path, adapter=message.checkpoint.adapter)
    prompt = None
    if message.HasField("system_prompt"):
        which = message.system_prompt.WhichOneof("source") or ""
        prompt = d.SystemPrompt(kind=which, value=getattr(message.system_prompt, which) if which else "")
    return d.ModelSpec(source=source, system_prompt=prompt, revision=message.revision)


def sampling_from_proto(message: model_pb2.Sampling) -> d.Sampling:
    """Sampling with absent fields at their defaults."""
    default = d.Sampling()
    return d.Sampling(
        temperature=message.temperature if message.HasField("temperature") else default.temperature,
        max_tokens=message.max_tokens if message.HasField("max_tokens") else default.max_tokens,
        top_p=message.top_p if message.HasField("top_p") else default.top_p,
        seed=message.seed if message.HasField("seed") else default.seed,
        omit=tuple(message.omit),
        max_tokens_field=message.max_tokens_field or default.max_tokens_field,
    )


def sampling_to_proto(sampling: d.Sampling) -> model_pb2.Sampling:
    """The wire form; every value is written out."""
    return model_pb2.Sampling(
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        top_p=sampling.top_p,
        seed=sampling.seed,
        omit=sampling.omit,
        max_tokens_field=sampling.max_tokens_field,
    )


def prompt_from_proto(message: inference_pb2.Prompt) -> d.Prompt:
    """A conversation."""
    return d.Prompt(
        messages=tuple((turn.role, turn.content) for turn in message.messages),
        seed=message.seed if message.HasField("seed") else None,
    )


def identity_to_proto(identity: Identity) -> inference_pb2.ModelIdentity:
    """The wire form of an identity."""
    return inference_pb2.ModelIdentity(
        digest=identity.digest,
        verifiable=identity.verifiable,
        backend=identity.backend,
        components=identity.components,
    )


def check_to_proto(check: d.Check) -> inference_pb2.CheckModelResponse:
    """The wire form of a check."""
    return inference_pb2.CheckModelResponse(
        reported_model=check.reported_model,
        accepted_sampling=sampling_to_proto(check.sampling),
        notes=check.notes,
        liveness=liveness_to_proto(check.liveness) if check.liveness else None,
    )


def liveness_to_proto(found: Liveness) -> inference_pb2.Liveness:
    """The wire form of the canary's finding."""
    return inference_pb2.Liveness(
        alive=found.alive,
        difference=found.difference,
        floor=found.floor,
        probes=found.probes,
        reason=found.reason,
        measure=found.measure,
    )


def reply_to_proto(reply: d.Reply, identity: Identity) -> inference_pb2.Reply:
    """The wire form of a reply."""
    return inference_pb2.Reply(
        text=reply.text,
        finish_reason=reply.finish_reason,
        reasoning=reply.reasoning,
        usage=model_pb2.TokenUsage(
            prompt_tokens=reply.usage.prompt_tokens,
            completion_tokens=reply.usage.completion_tokens,
            reasoning_tokens=reply.usage.reasoning_tokens,
        ),
        latency_seconds=reply.latency_seconds,
        attempts=reply.attempts,
        reported_model=reply.reported_model,
        digest=identity.digest,
    )


def outcome_to_proto(
    index: int, outcome: d.Reply | CandorError, identity: Identity
) -> inference_pb2.BatchGenerateResponse:
    """One line of a batch."""
    if isinstance(outcome, CandorError):
        return inference_pb2.BatchGenerateResponse(index=index, error=to_status(outcome))
    return inference_pb2.BatchGenerateResponse(index=index, reply=reply_to_proto(outcome, identity))
