"""Losses of target tokens from hidden states, without ever holding the logits of the whole vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# A tile of logits (256 x 4,096 x 4 bytes = 4 MB) stays in the caches, so that its exponentials cost little beside the product.
_ROWS = 256
_VOCABULARY = 4096


def token_losses(
    hidden: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """-log softmax(hidden @ weight.T + bias)[target] of each position, in fp32 whatever the dtype of the arguments.

    Args:
        hidden: Last hidden states, shape (positions, width).
        targets: Token ids, shape (positions,).
        weight: Output embedding, shape (vocabulary, width).
        bias: Shape (vocabulary,), or None.

    Returns:
        Shape (positions,), nats.
    """
    import torch

    hidden = hidden.float()
    chosen = (hidden * weight[targets].float()).sum(dim=-1)
    if bias is not None:
        chosen += bias[targets].float()
    blocks = []
    for start in range(0, len(weight), _VOCABULARY):
        block = weight[start : start + _VOCABULARY].float()
        offset = None if bias is None else bias[start : start + _VOCABULARY].float()
        tiles = [
            torch.logsumexp(torch.nn.functional.linear(rows, block, offset), dim=-1)
            for rows in torch.split(hidden, _ROWS)
        ]
        blocks.append(torch.cat(tiles))
    return torch.logsumexp(torch.stack(blocks), dim=0) - chosen
