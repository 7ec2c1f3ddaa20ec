"""Memory that LoRA training needs, by arithmetic: rough, meant to say no before an hour is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.trainer.domain.spec import TrainingSpec

# What helps where memory is short.
ADVICE = "lower training.device_batch_size or training.max_length, or turn training.gradient_checkpointing on"
# Of libraries, kernels and fragmentation.
_FIXED = 600 * 2**20
# Activations kept for each layer and token, in widths: attention and feed-forward inputs, norms, LoRA branches with dropout.
_WIDTHS_PER_LAYER = 34.0
_WIDTHS_RECOMPUTED = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The numbers of a decoder that decide its memory and its effort."""

    parameters: int
    hidden: int
    layers: int
    feed_forward: int
    vocabulary: int
    tied: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any], parameters: int, *, tied: bool) -> Shape:
        """From a config.json; a nested text config counts.

        Args:
            config: Of the base model.
            parameters: In all its tensors.
            tied: Whether the output layer shares the weights of the embeddings.
        """
        text: Mapping[str, Any] = config.get("text_config") or config
        hidden = int(text.get("hidden_size") or text.get("n_embd") or 0)
        return cls(
            parameters=parameters,
            hidden=hidden,
            layers=int(text.get("num_hidden_layers") or text.get("n_layer") or 0),
            feed_forward=int(text.get("intermediate_size") or 4 * hidden),
            vocabulary=int(text.get("vocab_size") or 0),
            tied=tied,
        )


def weights(shape: Shape, precision: str) -> int:
    """Bytes of the frozen base model."""
    return shape.parameters * (2 if precision == "bf16" else 4)


def estimate(spec: TrainingSpec, shape: Shape, *, precision: str, rows: int, tokens: int, recompute: bool) -> int:
    """Bytes at the peak.

    Args:
        spec: The job.
        shape: The base model.
        precision: `bf16` or `fp32`.
        rows: Conversations on the device at once.
        tokens: Longest conversation.
        recompute: Gradient checkpointing.
    """
    unit = 2 if precision == "bf16" else 4
    places = rows * tokens
    adapter = spec.lora.r * shape.layers * len(spec.lora.target_modules) * (shape.hidden + shape.feed_forward)
    per_layer = (_WIDTHS_RECOMPUTED if recompute else _WIDTHS_PER_LAYER) * shape.hidden + (
        0 if recompute else 4 * shape.feed_forward
    )
    one_layer = _WIDTHS_PER_LAYER * shape.hidden + 4 * shape.feed_forward
    activations = places * unit * (shape.layers * per_layer + (one_layer if recompute else 0))
    # The loss works in chunks of tokens over the whole vocabulary, in single precision.
    logits = min(places, 1024) * shape.vocabulary * 4 * 2
    return int(weights(shape, precision) + adapter * 4 * 4 + activations + logits + _FIXED)
