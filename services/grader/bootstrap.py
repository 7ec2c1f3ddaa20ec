"""The composition root: settings in, a service ready to be served out."""

from __future__ import annotations

import grpc
from candor.grader.v1 import grader_pb2, grader_pb2_grpc

from chassis.egress import Guard
from chassis.metrics import Metrics
from chassis.serving import Service
from services.grader.backends.judge_openai import OpenAiJudges
from services.grader.backends.scorer_source import locator
from services.grader.backends.sociot_torch import TorchScorer
from services.grader.service.grader import GraderService
from services.grader.servicer import GraderServicer
from services.grader.settings import GraderSettings

NAME = grader_pb2.DESCRIPTOR.services_by_name["GraderService"].full_name


def build(settings: GraderSettings) -> Service:
    """Wire the service. Loads no model and no heavy package."""
    metrics = Metrics("grader")
    guard = Guard(settings.egress)
    judges = OpenAiJudges(guard, settings.policy(), metrics, settings.max_judges)
    scorer = TorchScorer(
        locate=locator(guard, hub=settings.hub_allowed),
        dtype=settings.precision,
        device=settings.device,
        threads=settings.torch_threads,
        batch_tokens=settings.batch_tokens,
        keep=settings.max_scorers,
    )
    service = GraderService(judges, scorer, metrics)

    def register(server: grpc.aio.Server) -> None:
        grader_pb2_grpc.add_GraderServiceServicer_to_server(GraderServicer(service), server)

    return Service(names=[NAME], register=register, metrics=metrics, close=judges.close)
