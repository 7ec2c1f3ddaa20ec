"""The composition root: settings in, a service ready to be served out."""

from __future__ import annotations

from contextlib import ExitStack

import grpc
from candor.trainer.v1 import trainer_pb2, trainer_pb2_grpc

from chassis.egress import Guard
from chassis.metrics import Metrics
from chassis.serving import Service
from services.trainer.backends.job_metrics import JobMetrics
from services.trainer.backends.kubernetes.cluster import Cluster
from services.trainer.backends.kubernetes.executor import KubernetesExecutor
from services.trainer.backends.kubernetes.manifest import Ways
from services.trainer.backends.kubernetes.options import Options
from services.trainer.backends.owning import owning
from services.trainer.backends.process.executor import ProcessExecutor
from services.trainer.backends.provider.executor import ProviderExecutor
from services.trainer.backends.sources_files import FileSources
from services.trainer.backends.store_files import FileJobs
from services.trainer.service.trainer import TrainerService
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings

NAME = trainer_pb2.DESCRIPTOR.services_by_name["TrainerService"].full_name


def build(settings: TrainerSettings) -> Service:
    """Wire the service, which holds its artifact root until it is closed. Loads no model and no heavy package.

    Raises:
        CandorError: ARTIFACTS_LOCKED, INVALID_REQUEST: the root is another trainer's, or cannot be written.
    """
    root = ExitStack()
    root.enter_context(owning(settings.artifacts.absolute()))
    metrics = Metrics("trainer")
    roots = (settings.artifacts.absolute(), *settings.egress.artifact_roots)
    guard = Guard(settings.egress.model_copy(update={"artifact_roots": roots}))
    process = ProcessExecutor(
        device=settings.device,
        threads=settings.torch_threads,
        state_seconds=settings.state_seconds,
        stop_seconds=settings.stop_seconds,
        launch_arguments=settings.launch_arguments,
        estimates_time=settings.estimate_time,
    )
    provider = ProviderExecutor(guard, settings.poll_seconds)
    cluster = _on_cluster(settings)
    service = TrainerService(
        FileJobs(settings.artifacts),
        FileSources(guard, settings.artifacts),
        {"process": process, "kubernetes": cluster, "openai": provider},
        metrics,
        {
            "process": settings.max_running,
            "kubernetes": settings.kubernetes.max_running,
            "openai": settings.max_at_providers,
        },
        settings.executor,
    )

    metrics.registry.register(JobMetrics(service.jobs))

    def register(server: grpc.aio.Server) -> None:
        trainer_pb2_grpc.add_TrainerServiceServicer_to_server(TrainerServicer(service), server)

    async def close() -> None:
        with root:
            await service.close()
            await provider.close()
            await cluster.close()

    return Service(names=[NAME], register=register, metrics=metrics, ready=service.ready, close=close)


def _on_cluster(settings: TrainerSettings) -> KubernetesExecutor:
    chosen = settings.kubernetes
    options = Options(
        ways=Ways(retries=chosen.retries, ttl_seconds=chosen.ttl_seconds),
        template=chosen.template,
        gpu_memory_bytes=chosen.gpu_memory_bytes,
        place_seconds=chosen.place_seconds,
        fault_seconds=chosen.fault_seconds,
        queue_seconds=chosen.queue_seconds,
        poll_seconds=chosen.poll_seconds,
        stop_seconds=settings.stop_seconds,
        device=settings.device,
        threads=settings.torch_threads,
        state_seconds=settings.state_seconds,
        launch_arguments=settings.launch_arguments,
    )
    return KubernetesExecutor(Cluster(chosen.namespace, chosen.kubeconfig), options, settings.artifacts.absolute())
