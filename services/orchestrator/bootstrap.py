"""The composition root: settings in, a service ready to be served out."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

import grpc
import sqlalchemy as sa
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc

from chassis.clients import Target, connect
from chassis.errors import Reason
from chassis.logs import about
from chassis.metrics import Metrics
from chassis.serving import Service
from chassis.settings import ClientSettings
from chassis.storage import storage_error
from chassis.tracing import Tracer
from services.orchestrator.backends.artifacts_files import FileArtifacts
from services.orchestrator.backends.claims import Claims
from services.orchestrator.backends.codec import ProtoCodec
from services.orchestrator.backends.conversation_files import LocalConversations
from services.orchestrator.backends.datasets import Datasets
from services.orchestrator.backends.dbos_calls import RunsConfig
from services.orchestrator.backends.grader_grpc import GrpcGrader
from services.orchestrator.backends.inference_grpc import GrpcInference
from services.orchestrator.backends.inference_routed import RoutedInference
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.backends.materials_files import FileMaterials
from services.orchestrator.backends.metered import Demand, MeteredGrader, MeteredInference
from services.orchestrator.backends.metrics.exposed import EvaluationMetrics
from services.orchestrator.backends.metrics.reading import LedgerReading
from services.orchestrator.backends.reachable import answers
from services.orchestrator.backends.replicas import Replicas
from services.orchestrator.backends.report.files import FileReporter
from services.orchestrator.backends.resend import PATIENCE
from services.orchestrator.backends.rewriter_grpc import GrpcRewriter
from services.orchestrator.backends.runs_dbos import DbosRuns
from services.orchestrator.backends.trainer_grpc import GrpcTrainer
from services.orchestrator.ports import Inference
from services.orchestrator.service.queries import mark_cancelled
from services.orchestrator.service.run.execute import execute
from services.orchestrator.service.world import Limits, World, blocking
from services.orchestrator.servicer import OrchestratorServicer
from services.orchestrator.settings import OrchestratorSettings

NAME = orchestrator_pb2.DESCRIPTOR.services_by_name["OrchestratorService"].full_name
_SQLITE = "sqlite"


def build(settings: OrchestratorSettings) -> Service:
    """Wire the service. Opens the ledger, and channels that connect on first use; call it on the loop that serves.

    Raises:
        CandorError: The ledger or a key file cannot be used.
    """
    metrics = Metrics("orchestrator")
    patience = replace(PATIENCE, retried=metrics.retried)
    patience_of_inference = replace(patience, seconds=max(patience.seconds, settings.inference_wake_seconds))
    demand = Demand(metrics, list(settings.inference_targets))
    channels: list[grpc.aio.Channel] = []
    needed: list[grpc.aio.Channel] = []

    def channel(target: str, *, may_be_away: bool = False) -> grpc.aio.Channel:
        channels.append(connect(_target(settings, target), max_message_bytes=settings.max_message_bytes))
        if not may_be_away:
            needed.append(channels[-1])
        return channels[-1]

    def inference(name: str, target: str) -> Inference:
        opened = channel(target, may_be_away=settings.inference_wake_seconds > 0)
        return MeteredInference(GrpcInference(opened, patience_of_inference), name, demand, metrics)

    # Evaluations that make no arm need neither of these two, and those that do wait for them.
    rewriter = channel(settings.rewriter_target, may_be_away=True) if settings.rewriter_target else None
    trainer = channel(settings.trainer_target, may_be_away=True) if settings.trainer_target else None
    database = Database(_with_folder(settings.ledger_url))
    ledger = SqlLedger(database)
    datasets = Datasets(
        uploaded=ledger.dataset,
        roots=settings.dataset_roots,
        any_path=settings.embedded,
        allow_hub=settings.embedded or settings.allow_hub,
    )
    world = World(
        ledger=ledger,
        inference=RoutedInference(
            {name: inference(name, target) for name, target in settings.inference_targets.items()}
        ),
        grader=MeteredGrader(GrpcGrader(channel(settings.grader_target), patience), metrics),
        rewriter=GrpcRewriter(rewriter, patience) if rewriter else None,
        trainer=GrpcTrainer(trainer, patience) if trainer else None,
        conversations=LocalConversations(datasets),
        materials=FileMaterials(settings.artifacts_url),
        tasks=datasets,
        artifacts=FileArtifacts(settings.artifacts_url),
        reporter=FileReporter(),
        codec=ProtoCodec(),
        limits=Limits(window=settings.window, batch=settings.batch, grade_batch=settings.grade_batch),
    )
    tracer = Tracer.from_settings("orchestrator", settings.tracing)
    runs = _runs(settings, world, database, tracer)
    metrics.registry.register(EvaluationMetrics(LedgerReading(ledger, settings.metric_families).view))

    def register(server: grpc.aio.Server) -> None:
        orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(OrchestratorServicer(world, runs), server)

    async def ready() -> bool:
        if not await blocking(database.ping):
            return False
        await runs.open()
        # Embedded, the services called are in this process and end with it.
        return settings.embedded or all(await asyncio.gather(*map(answers, needed)))

    async def close() -> None:
        await runs.close()
        for opened in channels:
            await opened.close()
        database.close()

    return Service(names=[NAME], register=register, metrics=metrics, ready=ready, tracer=tracer, close=close)


def _runs(settings: OrchestratorSettings, world: World, database: Database, tracer: Tracer) -> DbosRuns:
    executor = settings.executor_id or os.environ.get("DBOS__VMID") or socket.gethostname()

    async def run(evaluation_id: str, attempt: int) -> None:
        row = await blocking(world.ledger.evaluation, evaluation_id)
        # Wherever it runs: calls are logged under the evaluation, and belong to the trace of the call that started it.
        with about(evaluation_id), tracer.span("evaluation", parent=row.trace) as span:
            span.note(evaluation=evaluation_id, attempt=str(attempt))
            await execute(world, evaluation_id, attempt)

    async def cancelled(evaluation_ids: list[str]) -> list[str]:
        rows = [await blocking(world.ledger.evaluation, each) for each in evaluation_ids]
        return [row.id for row in rows if row.cancel]

    async def close_cancelled(evaluation_id: str) -> None:
        await mark_cancelled(world, evaluation_id)

    return DbosRuns(
        RunsConfig(
            url=settings.runs_url or _beside(settings.ledger_url),
            executor_id="" if settings.embedded else executor,
            max_runs=settings.max_runs,
            poll_seconds=settings.queue_poll_seconds,
            beat_seconds=min(1.0, settings.adopt_seconds / 6),
        ),
        run,
        cancelled=cancelled,
        close_cancelled=close_cancelled,
        replicas=None if settings.embedded else Replicas(database, executor, settings.adopt_seconds),
        claims=None if database.sqlite else Claims(database, settings.adopt_seconds),
    )


def _beside(ledger_url: str) -> str:
    """DBOS's own database: a file beside a SQLite ledger, or the same Postgres (in a schema of its own)."""
    url = sa.make_url(ledger_url)
    if url.get_backend_name() != _SQLITE:
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    return f"sqlite:///{Path(url.database or '').with_name('dbos.db')}"


def _with_folder(ledger_url: str) -> str:
    url = sa.make_url(ledger_url)
    if url.get_backend_name() == _SQLITE and url.database:
        folder = Path(url.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, f"{folder} cannot be made", full=Reason.LEDGER_FULL) from error
    return ledger_url


def _target(settings: OrchestratorSettings, address: str) -> Target:
    return Target.from_settings(
        ClientSettings(
            target=address,
            token_file=settings.token_file,
            tls_ca_file=settings.tls_ca_file,
            tls_cert_file=settings.tls_client_cert_file,
            tls_key_file=settings.tls_client_key_file,
        )
    )
