"""The composition root: settings in, a service ready to be served out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import grpc
from candor.inference.v1 import inference_pb2, inference_pb2_grpc

from chassis.egress import Guard
from chassis.metrics import Metrics
from chassis.serving import Service
from services.inference.backends.openai import OpenAiBackend
from services.inference.backends.transformers import TransformersBackend
from services.inference.backends.vllm import EngineOptions, VllmBackend
from services.inference.domain.model import Checkpoint, Endpoint
from services.inference.service.inference import InferenceService
from services.inference.service.prepared import Prepared
from services.inference.servicer import InferenceServicer
from services.inference.settings import InferenceSettings

_MOST_SUBJECTS = 256  # of checkpoints: their weights are the backend's to keep or drop
NAME = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name

CheckpointBackend = TransformersBackend | VllmBackend


def build(settings: InferenceSettings) -> Service:
    """Wire the service. Loads no model and no heavy package."""
    metrics = Metrics("inference")
    guard = Guard(settings.egress)
    endpoints = OpenAiBackend(guard, settings.policy(), metrics)
    checkpoints = CHECKPOINT_BACKENDS[settings.checkpoint_backend](settings, guard, metrics)
    service = InferenceService(
        {
            Endpoint: (endpoints, Prepared(settings.max_endpoints)),
            Checkpoint: (checkpoints, Prepared(_MOST_SUBJECTS)),
        },
        metrics,
    )

    def register(server: grpc.aio.Server) -> None:
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(service), server)

    async def close() -> None:
        await service.close()
        await endpoints.close()
        await checkpoints.close()

    return Service(names=[NAME], register=register, metrics=metrics, close=close)


def _transformers(settings: InferenceSettings, guard: Guard, _metrics: Metrics) -> CheckpointBackend:
    return TransformersBackend(
        guard,
        device=settings.device,
        precision=settings.precision,
        batch_rows=settings.batch_rows,
        torch_threads=settings.torch_threads,
        max_bases=settings.max_checkpoints,
        max_adapters=settings.max_adapters,
    )


def _vllm(settings: InferenceSettings, guard: Guard, metrics: Metrics) -> CheckpointBackend:
    options = EngineOptions(
        **settings.vllm.model_dump(),
        precision=settings.precision,
        max_adapters=settings.max_adapters,
        max_concurrency=settings.max_concurrency,
        attempt_seconds=settings.attempt_seconds,
    )
    return VllmBackend(guard, options, metrics)


CHECKPOINT_BACKENDS: Mapping[str, Callable[[InferenceSettings, Guard, Metrics], CheckpointBackend]] = {
    "transformers": _transformers,
    "vllm": _vllm,
}
