"""The composition root: settings in, a service ready to be served out."""

from __future__ import annotations

import grpc
from candor.rewriter.v1 import rewriter_pb2, rewriter_pb2_grpc

from chassis.egress import Guard
from chassis.metrics import Metrics
from chassis.serving import Service
from services.rewriter.backends.meter_detoxify import DetoxifyMeters
from services.rewriter.backends.meters import NamedMeters
from services.rewriter.backends.writer_openai import OpenAiWriters
from services.rewriter.backends.writer_rules import RulesWriter
from services.rewriter.backends.writers import RoutedWriters
from services.rewriter.service.rewriter import RewriterService
from services.rewriter.servicer import RewriterServicer
from services.rewriter.settings import RewriterSettings

NAME = rewriter_pb2.DESCRIPTOR.services_by_name["RewriterService"].full_name


def build(settings: RewriterSettings) -> Service:
    """Wire the service. Loads no model and no heavy package."""
    metrics = Metrics("rewriter")
    endpoints = OpenAiWriters(Guard(settings.egress), settings.policy(), metrics, settings.max_writers)
    writers = RoutedWriters(RulesWriter(), endpoints)
    detoxify = DetoxifyMeters(
        settings.detoxify_model, settings.detoxify_checkpoint, settings.detoxify_config, settings.torch_threads
    )
    service = RewriterService(writers, NamedMeters(detoxify), metrics, settings.toxicity)

    def register(server: grpc.aio.Server) -> None:
        rewriter_pb2_grpc.add_RewriterServiceServicer_to_server(RewriterServicer(service), server)

    return Service(names=[NAME], register=register, metrics=metrics, close=writers.close)
