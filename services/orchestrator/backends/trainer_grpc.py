"""The Trainer port over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import grpc
from candor.trainer.v1 import trainer_pb2 as pb
from candor.trainer.v1 import trainer_pb2_grpc

from chassis.clients import stream
from chassis.errors import CandorError
from services.orchestrator.backends.resend import BROKEN, PATIENCE, Patience, patiently
from services.orchestrator.convert.models import endpoint_to_proto
from services.orchestrator.domain.making.estimate import Estimate
from services.orchestrator.domain.models import Endpoint
from services.orchestrator.domain.recipe import ProviderTraining, Training
from services.orchestrator.ports.making import Trained, TrainingJob, TrainingOrder, TrainingStep

_CREATE_SECONDS = 1800.0  # the preflight tokenizes the data and loads the model
_CALL_SECONDS = 60.0
_WATCH_SECONDS = 7 * 86_400.0
# How long the trainer of a job under way may be away: its pod may move to a node that pulls an image of some GB.
_AWAY_SECONDS = 900.0

Answer = TypeVar("Answer")


class GrpcTrainer:
    """Implements `ports.making.Trainer` over one channel. Jobs outlive the service that is asked for them."""

    def __init__(self, channel: grpc.aio.Channel, patience: Patience = PATIENCE) -> None:
        self._patience = patience
        self._patience_of_jobs = replace(patience, seconds=max(patience.seconds, _AWAY_SECONDS))
        self._stub = trainer_pb2_grpc.TrainerServiceStub(channel)

    async def check(self, order: TrainingOrder) -> tuple[str, ...]:
        """See ports."""
        request = pb.CheckTrainingJobRequest(spec=_spec(order))
        found = await self._patiently(lambda: self._stub.CheckTrainingJob(request, timeout=_CREATE_SECONDS))
        return tuple(found.warnings)

    async def create(self, order: TrainingOrder) -> TrainingJob:
        """See ports."""
        request = pb.CreateTrainingJobRequest(spec=_spec(order))
        return _job(await self._patiently(lambda: self._stub.CreateTrainingJob(request, timeout=_CREATE_SECONDS)))

    async def watch(self, name: str, after: int) -> AsyncIterator[TrainingStep]:
        """See ports. A stream that breaks is opened again where it broke, as long as the trainer still has the job."""
        breaks = 0  # since the last event
        while True:
            request = pb.WatchTrainingJobRequest(name=name, after_sequence=after)
            try:
                async for event in stream("trainer", self._stub.WatchTrainingJob(request, timeout=_WATCH_SECONDS)):
                    after, breaks = event.sequence, 0
                    yield _step(event)
            except CandorError as error:
                if error.reason not in BROKEN:
                    raise
                self._patience.retried(error.reason)
            else:
                return
            # Servers end every stream sooner or later, and a job says nothing for hours while it waits for its turn.
            breaks += 1
            await self._patience.sleep(self._patience.backoff.wait(breaks))
            await self.get(name)

    async def get(self, name: str) -> TrainingJob:
        """See ports."""
        request = pb.GetTrainingJobRequest(name=name)
        call = partial(self._stub.GetTrainingJob, request, timeout=_CALL_SECONDS)
        return _job(await patiently("trainer", call, self._patience_of_jobs))

    async def cancel(self, name: str) -> None:
        """See ports."""
        request = pb.CancelTrainingJobRequest(name=name)
        await self._patiently(lambda: self._stub.CancelTrainingJob(request, timeout=_CALL_SECONDS))

    async def _patiently(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        return await patiently("trainer", call, self._patience)


def _spec(order: TrainingOrder) -> pb.TrainingSpec:
    spec = pb.TrainingSpec(dataset=order.dataset, dataset_digest=order.dataset_digest, display_name=order.name)
    training = order.training
    if isinstance(order.base, Endpoint):
        assert isinstance(training, ProviderTraining), "a provider takes settings of its own"
        spec.executor = "openai"
        spec.training.epochs = training.epochs
        spec.training.batch_size = training.batch_size
        spec.training.seed = training.seed
        spec.provider.endpoint.CopyFrom(endpoint_to_proto(order.base))
        spec.provider.suffix = order.style
        if training.learning_rate_multiplier is not None:
            spec.provider.learning_rate_multiplier = training.learning_rate_multiplier
    else:
        assert isinstance(training, Training), "the trainer takes settings of its own"
        spec.base.path = order.base.path
        spec.lora.CopyFrom(_lora(training))
        spec.training.CopyFrom(_training(training))
    return spec


def _lora(training: Training) -> pb.LoraSettings:
    return pb.LoraSettings(
        r=training.lora_r,
        alpha=training.lora_alpha,
        dropout=training.lora_dropout,
        target_modules=training.target_modules,
    )


def _training(training: Training) -> pb.TrainingSettings:
    return pb.TrainingSettings(
        learning_rate=training.learning_rate,
        epochs=training.epochs,
        batch_size=training.batch_size,
        device_batch_size=training.device_batch_size,
        max_length=training.max_length,
        schedule=training.schedule,
        warmup=training.warmup,
        checkpoint_epochs=training.checkpoint_epochs,
        seed=training.seed,
        gradient_checkpointing=training.gradient_checkpointing,
        batching=training.batching,
        precision=training.precision,
        weight_decay=training.weight_decay,
        processes=training.processes,
    )


def _facts(job: pb.TrainingJob) -> dict[str, str]:
    """What was known before the start; of a provider, what it told."""
    preflight = job.preflight
    if job.spec.executor == "openai":
        tokens = job.progress.trained_tokens
        return {
            "trained at": preflight.device,
            "conversations": f"{preflight.conversations:,}",
            **({"trained tokens": f"{tokens:,}, as the provider counts"} if tokens else {}),
        }
    facts = {
        "conversations": f"{preflight.conversations:,}",
        "trained tokens": f"{preflight.trained_tokens.get('assistant', 0):,} of {preflight.total_tokens:,}",
        "cut to max_length": f"{preflight.truncated_share:.1%}",
        "end of turn is trained in": f"{preflight.end_of_turn_share:.1%}",
        "steps an epoch": f"{preflight.steps_per_epoch:,}",
        "template": preflight.template,
        "device": preflight.device,
    }
    if (estimate := _estimate(preflight)) is not None:
        facts |= {"memory, estimated": estimate.memory(), "time, estimated": estimate.time()}
    return facts


def _job(job: pb.TrainingJob) -> TrainingJob:
    preflight = job.preflight
    return TrainingJob(
        name=job.name,
        state=job.state,
        reason=job.reason,
        failure_reason=job.failure_reason,
        step=job.progress.step,
        steps=job.progress.steps or preflight.steps,
        checkpoints=tuple(
            Trained(
                epoch=each.epoch,
                step=each.step,
                path=each.path,
                digest=each.digest,
                loss=each.loss if each.HasField("loss") else None,
                model=each.model,
            )
            for each in job.checkpoints
        ),
        versions=dict(sorted(job.versions.items())),
        facts=_facts(job) if job.HasField("preflight") else {},
        warnings=tuple(preflight.warnings),
        estimate=_estimate(preflight),
        created=job.create_time.seconds + job.create_time.nanos / 1e9,
        updated=job.update_time.seconds + job.update_time.nanos / 1e9,
        provider_job=job.provider_job,
        trained_tokens=job.progress.trained_tokens,
    )


def _estimate(preflight: pb.Preflight) -> Estimate | None:
    if not preflight.computed_tokens:
        return None
    return Estimate(
        steps=preflight.steps,
        tokens=preflight.computed_tokens,
        seconds=preflight.estimated_seconds if preflight.HasField("estimated_seconds") else None,
        basis=preflight.time_basis,
        memory_bytes=preflight.estimated_memory_bytes,
        free_bytes=preflight.available_memory_bytes,
        device=preflight.device,
    )


def _step(event: pb.TrainingEvent) -> TrainingStep:
    progress = event.progress
    return TrainingStep(
        sequence=event.sequence,
        state=event.state,
        step=progress.step,
        steps=progress.steps,
        epoch=progress.epoch,
        loss=progress.loss if progress.HasField("loss") else None,
        learning_rate=progress.learning_rate if progress.HasField("learning_rate") else None,
        tokens_per_second=progress.tokens_per_second if progress.HasField("tokens_per_second") else None,
        eta_seconds=progress.eta_seconds if progress.HasField("eta_seconds") else None,
        message=event.message,
        time=event.time.seconds + event.time.nanos / 1e9,
    )
