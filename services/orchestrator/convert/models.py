"""Models and sampling: protos <-> domain values."""

from __future__ import annotations

from candor.common.v1 import model_pb2
from candor.orchestrator.v1 import evaluation_pb2

from services.orchestrator.domain.models import Checkpoint, Endpoint, Prices, Sampling
from services.orchestrator.domain.spec import Arm


def endpoint_from_proto(message: model_pb2.Endpoint) -> Endpoint:
    """An endpoint."""
    return Endpoint(
        base_url=message.base_url, model=message.model, api_key_env=message.api_key_env, credential=message.credential
    )


def endpoint_to_proto(endpoint: Endpoint) -> model_pb2.Endpoint:
    """The wire form of an endpoint."""
    return model_pb2.Endpoint(
        base_url=endpoint.base_url,
        model=endpoint.model,
        api_key_env=endpoint.api_key_env,
        credential=endpoint.credential,
    )


def prices_from_proto(message: evaluation_pb2.Prices) -> Prices:
    """Prices of tokens."""
    return Prices(
        prompt_per_million=message.prompt_per_million,
        completion_per_million=message.completion_per_million,
        training_per_million=message.training_per_million if message.HasField("training_per_million") else None,
    )


def sampling_from(message: model_pb2.Sampling, base: Sampling) -> Sampling:
    """Sampling; what is absent is taken from `base`."""

    def value(name: str) -> object:
        return getattr(message, name) if message.HasField(name) else getattr(base, name)  # type: ignore[arg-type]

    return Sampling(
        temperature=value("temperature"),  # type: ignore[arg-type]
        max_tokens=value("max_tokens"),  # type: ignore[arg-type]
        top_p=value("top_p"),  # type: ignore[arg-type]
        seed=value("seed"),  # type: ignore[arg-type]
        omit=tuple(message.omit) or base.omit,
        max_tokens_field=message.max_tokens_field or base.max_tokens_field,
    )


def sampling_to_proto(sampling: Sampling) -> model_pb2.Sampling:
    """The wire form of sampling; every default is written out."""
    message = model_pb2.Sampling(
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        omit=sampling.omit,
        max_tokens_field=sampling.max_tokens_field,
    )
    if sampling.top_p is not None:
        message.top_p = sampling.top_p
    return message


def sampling_from_proto(message: model_pb2.Sampling) -> Sampling:
    """Sampling as a service reported it."""
    return sampling_from(message, Sampling())


def model_to_proto(arm: Arm) -> model_pb2.ModelSpec:
    """The ModelSpec that an arm stands for. An arm with a recipe has none before it is made."""
    message = model_pb2.ModelSpec(revision=arm.revision)
    if isinstance(arm.source, Endpoint):
        message.endpoint.CopyFrom(endpoint_to_proto(arm.source))
    else:
        assert isinstance(arm.source, Checkpoint), f"{arm.name} is not made yet"
        message.checkpoint.path = arm.source.path
        message.checkpoint.adapter = arm.source.adapter
    if arm.system_prompt is not None:
        if arm.system_prompt.builtin:
            message.system_prompt.builtin = arm.system_prompt.builtin
        else:
            message.system_prompt.text = arm.system_prompt.text
    return message
