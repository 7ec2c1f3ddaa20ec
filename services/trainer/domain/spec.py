"""What is trained on what, and how: one value whose digest names the job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

EXECUTORS = ("process", "kubernetes", "openai")
BATCHING = ("group_by_length", "packing", "plain")
SCHEDULES = ("linear", "constant", "cosine")
PRECISIONS = ("bf16", "fp32")
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# The study's checkpoints (METHOD section 3).
CHECKPOINT_EPOCHS = (0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0)
# Another way to train the same spec is another job: raise this when weights would differ.
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """The adapter's shape."""

    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.1
    target_modules: tuple[str, ...] = PROJECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long, how fast, in which batches. None leaves the choice to the device that trains."""

    learning_rate: float = 1e-5
    epochs: float = 10.0
    batch_size: int = 16
    device_batch_size: int | None = None
    max_length: int = 1024
    schedule: str = "linear"
    warmup: float = 0.03
    checkpoint_epochs: tuple[float, ...] = ()
    seed: int = 1
    gradient_checkpointing: bool | None = None
    batching: str = "group_by_length"
    precision: str = ""
    weight_decay: float = 0.0
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A fine-tuning API: where it is, and the values that only it knows."""

    base_url: str = ""
    model: str = ""
    api_key_env: str = ""
    credential: str = ""
    learning_rate_multiplier: float | None = None
    suffix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpec:
    """Everything that decides the weights, and a name for people."""

    base: str = ""
    base_adapter: str = ""
    dataset: str = ""
    dataset_digest: str = ""
    lora: Lora = field(default_factory=Lora)
    training: Training = field(default_factory=Training)
    executor: str = "process"
    provider: Provider | None = None
    display_name: str = ""
    merge: bool = False


def job_id(spec: TrainingSpec, base_digest: str) -> str:
    """The job's name: one spec, one base, one data set are one job, wherever the files lie, it trains and a key comes from.

    Args:
        spec: With its defaults resolved.
        base_digest: Over the base model's files; empty for a provider's model.
    """
    known = to_json(spec)
    for where in ("base", "dataset", "display_name"):
        del known[where]
    if spec.executor == "kubernetes":
        known["executor"] = "process"  # the same worker, elsewhere
    for key in ("api_key_env", "credential"):
        (known["provider"] or {}).pop(key, None)
    text = json.dumps({"schema": _SCHEMA, "base": base_digest, **known}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def to_json(spec: TrainingSpec) -> dict[str, Any]:
    """The spec as plain values."""
    return asdict(spec)


def from_json(known: dict[str, Any]) -> TrainingSpec:
    """The inverse of `to_json`."""
    lora, training, provider = known["lora"], known["training"], known["provider"]
    return TrainingSpec(
        **{
            **known,
            "lora": Lora(**{**lora, "target_modules": tuple(lora["target_modules"])}),
            "training": Training(**{**training, "checkpoint_epochs": tuple(training["checkpoint_epochs"])}),
            "provider": Provider(**provider) if provider else None,
        }
    )
