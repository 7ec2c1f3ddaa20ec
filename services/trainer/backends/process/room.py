"""The machine that trains: its device, its free memory, the size and modules of a base model. Loads no model, no torch."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.trainer.domain import memory
from services.trainer.domain.effort import Layout
from services.trainer.domain.labels import Example
from services.trainer.domain.preflight import Room
from services.trainer.domain.schedule import MOST_AT_ONCE, device_batch
from services.trainer.domain.spec import TrainingSpec

_MEMORY = Path("/proc/meminfo")


class Device(NamedTuple):
    """What trains here: its name, whether it is a GPU, its free bytes (0: unknown)."""

    name: str
    gpu: bool
    free_bytes: int


def device_here(wanted: str) -> Device:
    """The device that a job will train on; `wanted` is `auto`, `cpu` or `cuda`."""
    name, free = _gpu() if wanted != "cpu" else ("", 0)
    return Device(name, True, free) if name else Device("cpu", False, _free())


def layout(spec: TrainingSpec, conversations: int, *, gpu: bool) -> Layout:
    """How the job lies on its device.

    Args:
        spec: The job.
        conversations: That are trained on.
        gpu: Whether it trains on one.

    Raises:
        CandorError: INVALID_REQUEST for modules that the base lacks, BAD_CHECKPOINT.
    """
    tensors = _tensors(Path(spec.base))
    _check_modules(spec, tensors)
    config = json.loads((Path(spec.base) / "config.json").read_text("utf-8"))
    training = spec.training
    batch = min(training.batch_size, conversations)
    return Layout(
        shape=memory.Shape.of(config, sum(tensors.values()), tied="lm_head.weight" not in tensors),
        gpu=gpu,
        precision=training.precision or ("bf16" if gpu else "fp32"),
        rows=device_batch(training.device_batch_size, batch, training.processes, MOST_AT_ONCE),
        recompute=gpu if training.gradient_checkpointing is None else training.gradient_checkpointing,
    )


def room(spec: TrainingSpec, examples: Sequence[Example], found: Layout, device: Device) -> Room:
    """What memory the job needs and what there is."""
    needed = memory.estimate(
        spec,
        found.shape,
        precision=found.precision,
        rows=found.rows,
        tokens=max(len(example.ids) for example in examples),
        recompute=found.recompute,
    )
    return Room(
        device=device.name,
        needed_bytes=needed,
        weights_bytes=memory.weights(found.shape, found.precision),
        free_bytes=device.free_bytes,
    )


def _tensors(base: Path) -> dict[str, int]:
    """Numbers in each tensor, from the headers of the safetensors files."""
    found: dict[str, int] = {}
    for path in base.glob("*.safetensors"):
        try:
            with path.open("rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        except ValueError as error:
            raise CandorError(
                Reason.BAD_CHECKPOINT, f"{path.name} of the base model is not a safetensors file"
            ) from error
        found |= {name: prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    return found


def _check_modules(spec: TrainingSpec, tensors: dict[str, int]) -> None:
    """PEFT passes over a module that does not exist; then less would be trained than the spec says."""
    modules = {name.removesuffix(".weight") for name in tensors}
    missing = [
        FieldViolation(f"spec.lora.target_modules[{place}]", f"the base model has no module {wanted}")
        for place, wanted in enumerate(spec.lora.target_modules)
        if not any(module == wanted or module.endswith("." + wanted) for module in modules)
    ]
    if missing:
        known = sorted({re.sub(r".*\.", "", module) for module in modules if re.search(r"\.\d+\.", module)})
        raise invalid(f"the base model has other modules than the spec names: {', '.join(known)[:300]}", missing)


def _gpu() -> tuple[str, int]:
    """(name, free bytes) of the first GPU; ("", 0) without one."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return "", 0
    query = [tool, "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603 -- fixed
    except (subprocess.SubprocessError, OSError):
        return "", 0
    name, _, free = (told.strip().splitlines() or [""])[0].rpartition(",")
    return name.strip(), int(free) * 2**20 if free.strip().isdigit() else 0


def _free() -> int:
    """Bytes that this machine can still give; 0 where it does not say."""
    if not _MEMORY.exists():
        return 0
    found = re.search(r"MemAvailable:\s+(\d+) kB", _MEMORY.read_text("ascii"))
    return int(found.group(1)) * 1024 if found else 0
