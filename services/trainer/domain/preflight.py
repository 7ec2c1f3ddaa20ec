"""What is known of a job before it costs anything, and why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chassis.text import gibibytes
from services.trainer.domain.conversations import bad
from services.trainer.domain.labels import Example
from services.trainer.domain.memory import ADVICE
from services.trainer.domain.schedule import plan
from services.trainer.domain.spec import TrainingSpec

# Over this share of conversations cut to nothing the data and `max_length` do not fit each other.
_MOST_UNLABELLED = 0.5
_FEW_CONVERSATIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """See the proto."""

    conversations: int = 0
    trained_tokens: dict[str, int] = field(default_factory=dict)
    total_tokens: int = 0
    end_of_turn_share: float = 0.0
    truncated_share: float = 0.0
    unlabelled_share: float = 0.0
    steps: int = 0
    steps_per_epoch: int = 0
    estimated_memory_bytes: int = 0
    available_memory_bytes: int = 0
    estimated_seconds: float | None = None
    computed_tokens: int = 0
    estimated_flops: float = 0.0
    time_basis: str = ""
    device: str = ""
    template: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Memory of the device that trains: what the job needs by arithmetic, what is free (0: unknown)."""

    device: str = ""
    needed_bytes: int = 0
    weights_bytes: int = 0
    free_bytes: int = 0


def judge(
    spec: TrainingSpec,
    examples: Sequence[Example],
    room: Room,
    *,
    template: str,
    with_special: int,
) -> Preflight:
    """Count, and refuse what cannot train well.

    Args:
        spec: The job.
        examples: Its conversations, tokenized.
        room: Memory.
        template: `marked` or `derived`.
        with_special: Conversations whose own words hold a special token of the tokenizer.

    Raises:
        CandorError: BAD_TRAINING_DATA with the reason.
    """
    count = len(examples)
    trained = sum(example.trained for example in examples)
    kept = [example for example in examples if example.trained]
    cut = sum(example.cut for example in examples)
    unlabelled = count - len(kept)
    closing = sum(example.closes for example in kept)
    if not trained:
        raise bad(f"no token would be trained: every reply begins after max_length ({spec.training.max_length} tokens)")
    if unlabelled / count > _MOST_UNLABELLED:
        message = f"{unlabelled} of {count} conversations have no reply within max_length ({spec.training.max_length})"
        raise bad(f"{message}; raise training.max_length or shorten the conversations")
    if not any(example.closes for example in kept):
        raise bad(
            "the end of the assistant's turn is never trained, so the model would not learn to stop: the chat template "
            "ends a reply with no token, or max_length cuts every end"
        )
    if room.free_bytes and room.weights_bytes > room.free_bytes:
        message = f"the base model alone takes {gibibytes(room.weights_bytes)}, {room.device} has {gibibytes(room.free_bytes)} free"
        raise bad(f"{message}; train on a larger device")
    shape = plan(spec.training, len(kept))
    if shape.batch % spec.training.processes:
        raise bad(
            f"a step of {shape.batch} conversations, which is all there are, does not divide among "
            f"{spec.training.processes} processes; lower training.processes"
        )
    return Preflight(
        conversations=count,
        trained_tokens={"assistant": trained, "user": 0, "system": 0},
        total_tokens=sum(example.tokens for example in examples),
        end_of_turn_share=closing / len(kept),
        truncated_share=cut / count,
        unlabelled_share=unlabelled / count,
        steps=shape.steps,
        steps_per_epoch=shape.steps_per_epoch,
        estimated_memory_bytes=room.needed_bytes,
        available_memory_bytes=room.free_bytes,
        device=room.device,
        template=template,
        warnings=tuple(_warnings(spec, examples, room, with_special=with_special, unlabelled=unlabelled)),
    )


def _warnings(
    spec: TrainingSpec, examples: Sequence[Example], room: Room, *, with_special: int, unlabelled: int
) -> list[str]:
    count = len(examples)
    found = []
    if count < _FEW_CONVERSATIONS:
        found.append(f"only {count} conversations: expect the adapter to learn them by heart")
    if cut := sum(example.cut for example in examples):
        found.append(f"{cut} of {count} conversations are cut to {spec.training.max_length} tokens")
    if unlabelled:
        found.append(f"{unlabelled} of {count} conversations are left out: no reply begins within max_length")
    if straddling := sum(example.straddles for example in examples):
        found.append(f"in {straddling} of {count} conversations a token reaches from the prompt into the reply")
    if with_special:
        found.append(
            f"the words of {with_special} conversations hold special tokens of the model, which it will read as such"
        )
    if room.free_bytes and room.needed_bytes > room.free_bytes:
        found.append(
            f"may run out of memory: about {gibibytes(room.needed_bytes)} needed, {gibibytes(room.free_bytes)} free; {ADVICE}"
        )
    return found


def to_json(found: Preflight) -> dict[str, Any]:
    """As plain values."""
    return asdict(found)


def from_json(known: dict[str, Any]) -> Preflight:
    """The inverse."""
    return Preflight(**{**known, "warnings": tuple(known["warnings"])})
