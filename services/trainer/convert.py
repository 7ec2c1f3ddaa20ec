"""Protos <-> domain values. Nothing is decided here but the defaults that the proto states."""

from __future__ import annotations

from candor.trainer.v1 import trainer_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from services.trainer.domain.job import Event, Job, Progress, Saved
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.spec import Lora, Provider, Training, TrainingSpec

_OPTIONAL_TRAINING = (
    "learning_rate",
    "epochs",
    "batch_size",
    "device_batch_size",
    "max_length",
    "warmup",
    "seed",
    "gradient_checkpointing",
    "weight_decay",
    "processes",
)
_PROGRESS = ("loss", "learning_rate", "tokens_per_second", "eta_seconds", "peak_memory_bytes")


def spec_from_proto(message: pb.TrainingSpec) -> TrainingSpec:
    """A spec with every default of the proto in its place."""
    return TrainingSpec(
        base=message.base.path,
        base_adapter=message.base.adapter,
        dataset=message.dataset,
        dataset_digest=message.dataset_digest,
        lora=_lora(message.lora),
        training=_training(message.training),
        executor=message.executor,
        provider=_provider(message.provider) if message.HasField("provider") else None,
        display_name=message.display_name,
        merge=message.merge,
    )


def _lora(message: pb.LoraSettings) -> Lora:
    given = {name: getattr(message, name) for name in ("r", "alpha", "dropout") if message.HasField(name)}
    if message.target_modules:
        given["target_modules"] = tuple(message.target_modules)
    return Lora(**given)


def _training(message: pb.TrainingSettings) -> Training:
    present = {field.name for field, _ in message.ListFields()}
    given = {name: getattr(message, name) for name in _OPTIONAL_TRAINING if name in present}
    given |= {name: value for name in ("schedule", "batching", "precision") if (value := getattr(message, name))}
    return Training(**given, checkpoint_epochs=tuple(message.checkpoint_epochs))


def _provider(message: pb.ProviderSettings) -> Provider:
    given = message.HasField("learning_rate_multiplier")
    return Provider(
        base_url=message.endpoint.base_url,
        model=message.endpoint.model,
        api_key_env=message.endpoint.api_key_env,
        credential=message.endpoint.credential,
        learning_rate_multiplier=message.learning_rate_multiplier if given else None,
        suffix=message.suffix,
    )


def spec_to_proto(spec: TrainingSpec) -> pb.TrainingSpec:
    """The spec as it is in force."""
    training = spec.training
    message = pb.TrainingSpec(
        dataset=spec.dataset,
        dataset_digest=spec.dataset_digest,
        lora=pb.LoraSettings(
            r=spec.lora.r,
            alpha=spec.lora.alpha,
            dropout=spec.lora.dropout,
            target_modules=spec.lora.target_modules,
        ),
        training=pb.TrainingSettings(
            **{name: getattr(training, name) for name in _OPTIONAL_TRAINING},
            schedule=training.schedule,
            checkpoint_epochs=training.checkpoint_epochs,
            batching=training.batching,
            precision=training.precision,
        ),
        executor=spec.executor,
        display_name=spec.display_name,
        merge=spec.merge,
    )
    if spec.base:
        message.base.path = spec.base
    if spec.provider is not None:
        message.provider.endpoint.base_url = spec.provider.base_url
        message.provider.endpoint.model = spec.provider.model
        message.provider.endpoint.api_key_env = spec.provider.api_key_env
        message.provider.endpoint.credential = spec.provider.credential
        message.provider.suffix = spec.provider.suffix
        if spec.provider.learning_rate_multiplier is not None:
            message.provider.learning_rate_multiplier = spec.provider.learning_rate_multiplier
    return message


def preflight_to_proto(found: Preflight) -> pb.Preflight:
    """What is known before the start."""
    return pb.Preflight(
        conversations=found.conversations,
        trained_tokens=found.trained_tokens,
        total_tokens=found.total_tokens,
        end_of_turn_share=found.end_of_turn_share,
        truncated_share=found.truncated_share,
        unlabelled_share=found.unlabelled_share,
        steps=found.steps,
        steps_per_epoch=found.steps_per_epoch,
        estimated_memory_bytes=found.estimated_memory_bytes,
        available_memory_bytes=found.available_memory_bytes,
        estimated_seconds=found.estimated_seconds,
        computed_tokens=found.computed_tokens,
        estimated_flops=found.estimated_flops,
        time_basis=found.time_basis,
        device=found.device,
        template=found.template,
        warnings=found.warnings,
    )


def job_to_proto(job: Job) -> pb.TrainingJob:
    """A job as it is now."""
    return pb.TrainingJob(
        name=job.name,
        spec=spec_to_proto(job.spec),
        state=job.state.value,
        reason=job.reason,
        failure_reason=job.failure_reason,
        progress=_progress(job.progress),
        checkpoints=[_saved(saved) for saved in job.checkpoints],
        preflight=preflight_to_proto(job.preflight),
        create_time=_time(job.created),
        update_time=_time(job.updated),
        versions=job.versions,
        merged_path=job.merged,
        provider_job=job.resume.get("job", ""),
    )


def event_to_proto(event: Event) -> pb.TrainingEvent:
    """One event."""
    return pb.TrainingEvent(
        sequence=event.sequence,
        time=_time(event.time),
        state=event.state,
        progress=_progress(event.progress),
        message=event.message,
    )


def _progress(progress: Progress) -> pb.TrainingProgress:
    return pb.TrainingProgress(
        step=progress.step,
        steps=progress.steps,
        epoch=progress.epoch,
        trained_tokens=progress.trained_tokens,
        **{name: getattr(progress, name) for name in _PROGRESS},
    )


def _saved(saved: Saved) -> pb.TrainedCheckpoint:
    return pb.TrainedCheckpoint(
        epoch=saved.epoch, step=saved.step, path=saved.path, digest=saved.digest, loss=saved.loss, model=saved.model
    )


def _time(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
