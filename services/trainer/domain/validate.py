"""Everything that is wrong with a spec, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chassis.errors import CandorError, FieldViolation, Reason
from services.trainer.domain.spec import BATCHING, EXECUTORS, PRECISIONS, SCHEDULES, Lora, Training, TrainingSpec

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_EPOCHS = 1000
_MAX_BATCH = 4096
_MAX_LENGTH = 1_048_576

Problem = tuple[str, str]


def check(spec: TrainingSpec) -> None:
    """Raise CandorError INVALID_REQUEST naming every bad field."""
    found = [*_where(spec), *_lora(spec.lora), *_training(spec.training)]
    if found:
        violations = [FieldViolation(f"spec.{name}", what) for name, what in found]
        noun = "field" if len(found) == 1 else "fields"
        raise CandorError(Reason.INVALID_REQUEST, f"the training spec has {len(found)} bad {noun}", violations)


def _where(spec: TrainingSpec) -> Iterator[Problem]:
    if spec.executor not in EXECUTORS:
        yield "executor", f"{spec.executor!r} is not one of {', '.join(EXECUTORS)}"
    if not spec.dataset:
        yield "dataset", "is empty; name a file of JSON lines"
    if not _DIGEST.fullmatch(spec.dataset_digest):
        yield "dataset_digest", "is not sha256: and 64 hexadecimal digits"
    if spec.executor == "openai":
        yield from _provider(spec)
        return
    if not spec.base:
        yield "base.path", "is empty; name the folder of the base model"
    if spec.base_adapter:
        yield "base.adapter", "cannot be trained further; merge it into its base first and name that folder"
    if spec.provider is not None:
        yield "provider", "works with executor openai only"


def _provider(spec: TrainingSpec) -> Iterator[Problem]:
    provider = spec.provider
    if provider is None or not provider.base_url:
        yield "provider.endpoint.base_url", "is empty; name the fine-tuning API, for example http://host:8000/v1"
    if provider is None or not provider.model:
        yield "provider.endpoint.model", "is empty; name the provider's base model"
    multiplier = provider.learning_rate_multiplier if provider is not None else None
    if multiplier is not None and not 0 < multiplier <= 100:
        yield "provider.learning_rate_multiplier", "is not above 0 and up to 100"
    if spec.merge:
        yield "merge", "does not work with executor openai"
    if spec.training.epochs != int(spec.training.epochs):
        yield "training.epochs", "must be whole for a provider"


def _lora(lora: Lora) -> Iterator[Problem]:
    if not 1 <= lora.r <= 512:
        yield "lora.r", "is not from 1 to 512"
    if not 0 < lora.alpha <= 4096:
        yield "lora.alpha", "is not above 0 and up to 4096"
    if not 0 <= lora.dropout < 1:
        yield "lora.dropout", "is not from 0 to below 1"
    if any(not name.strip() or name in ("lm_head", "embed_tokens") for name in lora.target_modules):
        yield "lora.target_modules", "names an empty module, lm_head or embed_tokens; adapters there cannot be served"


def _training(training: Training) -> Iterator[Problem]:
    yield from _pace(training)
    yield from _choices(training)
    if not 1 <= training.batch_size <= _MAX_BATCH:
        yield "training.batch_size", f"is not from 1 to {_MAX_BATCH}"
    if training.device_batch_size is not None and not 1 <= training.device_batch_size <= training.batch_size:
        yield "training.device_batch_size", "is not from 1 to batch_size"
    if not 8 <= training.max_length <= _MAX_LENGTH:
        yield "training.max_length", f"is not from 8 to {_MAX_LENGTH}"
    if not 0 <= training.seed < 2**32:
        yield "training.seed", "is not from 0 to 4,294,967,295"
    if training.processes < 1 or training.batch_size % training.processes:
        yield "training.processes", "does not divide batch_size"


def _pace(training: Training) -> Iterator[Problem]:
    if not 0 < training.learning_rate <= 1:
        yield "training.learning_rate", "is not above 0 and up to 1"
    if not 0 < training.epochs <= _MAX_EPOCHS:
        yield "training.epochs", f"is not above 0 and up to {_MAX_EPOCHS}"
    if not 0 <= training.warmup < 1:
        yield "training.warmup", "is a share of the steps, from 0 to below 1"
    if not 0 <= training.weight_decay <= 1:
        yield "training.weight_decay", "is not from 0 to 1"
    for place, epoch in enumerate(training.checkpoint_epochs):
        if not 0 < epoch <= training.epochs:
            yield f"training.checkpoint_epochs[{place}]", f"is not above 0 and up to epochs ({training.epochs:g})"


def _choices(training: Training) -> Iterator[Problem]:
    for name, value, known in (
        ("schedule", training.schedule, SCHEDULES),
        ("batching", training.batching, BATCHING),
        ("precision", training.precision or PRECISIONS[0], PRECISIONS),
    ):
        if value not in known:
            yield f"training.{name}", f"{value!r} is not one of {', '.join(known)}"
