"""What happens between steps: progress is told, state is saved, adapters are published, a stop is heeded."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from chassis.errors import CandorError, Reason
from services.trainer.backends.process.adapters import complete, place_of, publish, sync
from services.trainer.backends.process.channel import Channel, ends_a_line
from services.trainer.backends.process.order import Order
from services.trainer.domain.job import Job, Saved
from services.trainer.domain.schedule import Plan

# A state that lacks it was cut off while it was written.
_COMPLETE = "complete"
# Folder of a job's states.
STATES = "state"
_RECENT = 20
_MADE = "made.jsonl"


def newest_state(states: Path) -> Path | None:
    """The last whole state of an earlier run; broken ones are removed."""
    whole = []
    for folder in states.glob("checkpoint-*"):
        if (folder / _COMPLETE).exists():
            whole.append(folder)
        else:
            shutil.rmtree(folder)
    return max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def reopen(job: Job, folder: Path) -> bool:
    """Whether a finished job has lost an adapter; then it goes on from its last state before that, or from the start."""
    lost = [saved for saved in job.checkpoints if not complete(place_of(folder, saved.step))]
    if lost:
        _withdraw(folder, lost)
    return bool(lost)


def _withdraw(folder: Path, lost: Sequence[Saved]) -> None:
    """Remove what is left of lost adapters, and every state later than the first of them."""
    for saved in lost:
        shutil.rmtree(place_of(folder, saved.step), ignore_errors=True)
    first = min(saved.step for saved in lost)
    for state in (folder / STATES).glob("checkpoint-*"):
        if int(state.name.rpartition("-")[2]) > first:
            shutil.rmtree(state)


class Made:
    """The adapters that the job's workers have made: a line each, written before the server is told."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _MADE

    def add(self, record: dict[str, Any]) -> None:
        """One more, on a line of its own even after one that a full disk cut off."""
        with self._file.open("ab") as file:
            torn = not ends_a_line(self._file)
            file.write(b"\n" * torn + json.dumps(record).encode() + b"\n")

    def read(self) -> list[dict[str, Any]]:
        """All whose folder is there; the last of each step, and no line that a crash cut off."""
        lines = self._file.read_text("utf-8").splitlines(keepends=True) if self._file.exists() else []
        records = [json.loads(line) for line in lines if line.endswith("}\n")]
        return list({each["step"]: each for each in records if Path(each["path"]).is_dir()}.values())


class Keeper:
    """The part of the callback that knows nothing of transformers.

    Args:
        order: What is carried out.
        folder: The job's.
        shape: Steps and checkpoints.
        tokens: Tokens of each step, from the first on.
        trained: Trained tokens of each step.
        channel: Where reports go.
        peak: Bytes that the device held at most.
    """

    def __init__(
        self,
        order: Order,
        folder: Path,
        shape: Plan,
        tokens: Sequence[int],
        trained: Sequence[int],
        channel: Channel,
        peak: Callable[[], int],
    ) -> None:
        self._order = order
        self._folder = folder
        self._shape = shape
        self._tokens = tokens
        self._trained = trained
        self._channel = channel
        self._made = Made(folder)
        self._peak = peak
        self._losses: deque[float] = deque(maxlen=_RECENT)
        self._times: deque[tuple[float, int]] = deque(maxlen=_RECENT)
        self._saved_at = time.monotonic()

    def begin(self, step: int, model: Any, past: Sequence[Mapping[str, Any]] = ()) -> None:
        """Training begins after `step` steps, of which `past` has what was logged.

        A checkpoint that a crash left out is made good. Steps and checkpoints of before are told again: a server that was
        killed may not have heard of them.
        """
        for logged in past:
            if "loss" in logged:
                self._losses.append(logged["loss"])
                self._channel.tell("recalled", **self._reached(logged["step"], logged["loss"], logged["learning_rate"]))
        self._times.append((time.monotonic(), step))
        made = [record for record in self._made.read() if record["step"] <= step]
        for record in made:
            self._channel.tell("kept", **record)
        if step in self._shape.checkpoints and step not in {record["step"] for record in made}:
            self.publish(step, model)

    def wants_state(self, step: int) -> bool:
        """Whether the state is to be saved after this step."""
        late = time.monotonic() - self._saved_at >= self._order.state_seconds
        return late or step in self._shape.checkpoints or self._channel.stopping

    def stepped(self, step: int, loss: float, learning_rate: float) -> None:
        """Tell what a step came to. Raises CandorError when the loss is no number any more."""
        if not math.isfinite(loss):
            message = f"the loss is not a finite number at step {step}; lower training.learning_rate"
            raise CandorError(Reason.TRAINING_FAILED, message)
        self._losses.append(loss)
        self._times.append((time.monotonic(), step))
        (began, first), (now, _) = self._times[0], self._times[-1]
        rate = sum(self._tokens[first:step]) / max(now - began, 1e-6)
        self._channel.tell(
            "stepped",
            **self._reached(step, loss, learning_rate),
            tokens_per_second=rate,
            eta_seconds=sum(self._tokens[step:]) / rate,
            peak_memory_bytes=self._peak(),
        )

    def _reached(self, step: int, loss: float, learning_rate: float) -> dict[str, Any]:
        return {
            "step": step,
            "steps": self._shape.steps,
            "epoch": self._shape.epoch(step),
            "loss": loss,
            "learning_rate": learning_rate,
            "trained_tokens": sum(self._trained[:step]),
        }

    def saved(self, states: Path, step: int, model: Any) -> None:
        """A state was written: only once it is on disk does it count."""
        place = states / f"checkpoint-{step}"
        sync(place)
        (place / _COMPLETE).touch()
        self._saved_at = time.monotonic()
        if step in self._shape.checkpoints:
            self.publish(step, model)

    def publish(self, step: int, model: Any) -> None:
        """Make the adapter of this step and tell of it."""
        epoch = self._shape.checkpoints[step]

        def save(place: Path) -> None:
            model.save_pretrained(place, safe_serialization=True, save_embedding_layers=False)

        place, digest = publish(self._folder, step, self._order.spec.base, save, self._card(step, epoch))
        loss = fmean(self._losses) if self._losses else None
        record = {"step": step, "epoch": epoch, "path": str(place), "digest": digest, "loss": loss}
        self._made.add(record)
        self._channel.tell("kept", **record)

    def _card(self, step: int, epoch: float) -> str:
        lora, training = self._order.spec.lora, self._order.spec.training
        return (
            "---\nlibrary_name: peft\ntags: [lora, candor]\n---\n\n"
            f"LoRA adapter after {epoch:g} epochs ({step} steps) of supervised fine-tuning on assistant replies.\n\n"
            f"- r {lora.r}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, on {', '.join(lora.target_modules)}\n"
            f"- learning rate {training.learning_rate:g} ({training.schedule}), batch {training.batch_size}, "
            f"at most {training.max_length} tokens, seed {training.seed}\n"
            f"- data set {self._order.spec.dataset_digest}\n"
        )
