"""How much a job computes, by arithmetic, and how long that takes, from a few steps that were timed.

A decoder's forward pass is two operations for each weight that multiplies a token (Kaplan et al. 2020, section 2.1).
LoRA's base is frozen: its backward pass has gradients of activations and none of weights, so it costs as much as the forward
pass, not twice as much; recomputed layers cost a further forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.trainer.domain.memory import Shape
from services.trainer.domain.schedule import Plan, order
from services.trainer.domain.spec import Lora, Training

# Layers of the deepest slice of the model that is timed.
_DEEPEST = 4
# Operations of one timed step: a second on two processor cores, a tenth of one on a GPU.
_MOST_FLOPS = {False: 3e10, True: 2e13}
_SHORTEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a job lies on the device that trains.

    Attributes:
        shape: The base model.
        gpu: Whether the device is one.
        precision: `bf16` or `fp32`.
        rows: Conversations on the device at once.
        recompute: Gradient checkpointing.
    """

    shape: Shape
    gpu: bool = False
    precision: str = "fp32"
    rows: int = 1
    recompute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a job computes, and a step of it to be timed.

    Attributes:
        tokens: On all devices in all steps, padding included.
        flops: Floating-point operations for them.
        step: Lengths of the conversations of a middling step, or of as many as can be timed quickly.
        step_tokens: Of that step, padding included.
        depths: Layers of the slices of the model that are timed; empty where the model does not say how many it has.
    """

    tokens: int
    flops: float
    step: tuple[int, ...]
    step_tokens: int
    depths: tuple[int, ...]


def effort(lengths: Sequence[int], plan: Plan, lora: Lora, training: Training, layout: Layout) -> Effort:
    """What a job computes.

    Args:
        lengths: Tokens of each conversation that is trained on.
        plan: Its steps.
        lora: The adapter's shape.
        training: How it is laid out.
        layout: The device.
    """
    # One pass stands for all: the others hold the same conversations in another order.
    steps = min(plan.steps, plan.steps_per_epoch)
    places = list(order(lengths, replace(plan, steps=steps), training.seed, training.batching))
    batches = [
        tuple(lengths[place] for place in places[start : start + plan.batch])
        for start in range(0, len(places), plan.batch)
    ]
    sizes = [padded(batch, layout.rows, training.batching) for batch in batches]
    tokens = round(sum(sizes) * plan.steps / steps)
    middling = batches[sorted(range(steps), key=lambda step: sizes[step])[steps // 2]]
    mean = sum(lengths) / len(lengths)
    layers = layout.shape.layers
    depths = tuple(sorted({1, min(layers, _DEEPEST)})) if layers else ()
    deepest = flops_per_token(layout, lora, max(depths, default=1), mean)
    step = _quick(middling, layout.rows, int(_MOST_FLOPS[layout.gpu] / deepest))
    return Effort(
        tokens=tokens,
        flops=tokens * flops_per_token(layout, lora, layers, mean),
        step=step,
        step_tokens=padded(step, layout.rows, training.batching),
        depths=depths,
    )


def padded(lengths: Sequence[int], rows: int, batching: str) -> int:
    """Tokens that a step computes when `rows` conversations at a time are padded to the longest of them."""
    if batching == "packing":
        return sum(lengths)
    chunks = (lengths[start : start + rows] for start in range(0, len(lengths), rows))
    return sum(max(chunk) * len(chunk) for chunk in chunks)


def flops_per_token(layout: Layout, lora: Lora, layers: int, length: float) -> float:
    """Floating-point operations for each token of a LoRA step of a dense decoder.

    Args:
        layout: Model and device.
        lora: The adapter's shape.
        layers: Of the model or of a slice of it.
        length: Tokens of a conversation; causal attention sees half of them on average.
    """
    shape = layout.shape
    head = shape.vocabulary * shape.hidden
    layer = max(0, shape.parameters - head * (1 if shape.tied else 2)) / max(1, shape.layers)
    adapter = lora.r * len(lora.target_modules) * (shape.hidden + shape.feed_forward)
    again = 1 if layout.recompute else 0
    attention = 2 * length * shape.hidden
    return 2 * head * 2 + layers * (2 * layer * (2 + again) + attention * (3 + again) + 2 * adapter * (3 + again))


def seconds(found: Effort, timed: Sequence[tuple[int, float]], layers: int, processes: int) -> float:
    """Seconds of all steps.

    Args:
        found: What the job computes.
        timed: (layers, seconds of the timed step) of each slice, from the flattest on.
        layers: Of the model: what a layer takes is the difference between slices.
        processes: Devices that share a step.
    """
    (first, least), (last, most) = timed[0], timed[-1]
    each = max(0.0, most - least) / (last - first) if last > first else 0.0
    return (most + each * (layers - last)) * found.tokens / found.step_tokens / processes


def _quick(step: Sequence[int], rows: int, most: int) -> tuple[int, ...]:
    """As much of a step as holds at most so many tokens: whole device batches, or one of shortened conversations."""
    taken = 0
    while taken < len(step) and padded(step[: taken + rows], rows, "") <= most:
        taken += rows
    if taken:
        return tuple(step[:taken])
    return tuple(min(length, max(_SHORTEST, most // rows)) for length in step[:rows])
