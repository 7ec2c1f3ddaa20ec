"""The preflight of a job that a worker of ours will train, wherever that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from chassis.errors import CandorError, Reason
from services.trainer.backends.process.room import Device, layout, room
from services.trainer.backends.process.tokens import tokenize
from services.trainer.domain.effort import Effort, Layout, effort
from services.trainer.domain.preflight import Preflight, judge
from services.trainer.domain.schedule import plan
from services.trainer.domain.spec import TrainingSpec


def need(packages: Sequence[str]) -> None:
    """Raise CandorError BACKEND_MISSING naming the packages that are not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        message = f"training needs {', '.join(missing)}: pip install '.[trainer]' on the trainer's machine"
        raise CandorError(Reason.BACKEND_MISSING, message)


def look(spec: TrainingSpec, device: Device) -> tuple[Preflight, Layout, Effort]:
    """Count tokens, steps and memory; refuse what cannot train.

    Args:
        spec: The job.
        device: That it will train on; free bytes of 0 are not judged.

    Returns:
        What is known, without a time; how the job lies on the device; what it computes.

    Raises:
        CandorError: BAD_TRAINING_DATA, BAD_CHECKPOINT, INVALID_REQUEST.
    """
    tokenized = tokenize(spec.base, spec.dataset, spec.training.max_length)
    lengths = [len(example.ids) for example in tokenized.examples if example.trained]
    found = layout(spec, max(1, len(lengths)), gpu=device.gpu)
    preflight = judge(
        spec,
        tokenized.examples,
        room(spec, tokenized.examples, found, device),
        template=tokenized.template,
        with_special=tokenized.with_special,
    )
    work = effort(lengths, plan(spec.training, len(lengths)), spec.lora, spec.training, found)
    return replace(preflight, computed_tokens=work.tokens, estimated_flops=work.flops), found, work
