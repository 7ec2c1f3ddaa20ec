"""Choosing the next token of each row from its own stream of random numbers.

Inverse-CDF sampling with one uniform number per row and step: a row's draws depend on its seed alone, so its reply
does not change with the rows beside it (up to rounding of the model's own arithmetic).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def draws(seeds: Sequence[int], steps: int) -> torch.Tensor:
    """Uniform numbers, [rows, steps] float64 in [0, 1); row i is a function of seeds[i]."""
    import torch

    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.rand(steps, generator=generator, dtype=torch.float64))
    return torch.stack(rows)


def choose(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float | None) -> torch.Tensor:
    """Next token ids, [rows].

    Args:
        logits: [rows, vocabulary].
        uniform: [rows], ignored when greedy.
        temperature: 0 takes the likeliest token.
        top_p: Keep the likeliest tokens that together reach this mass (Holtzman et al. 2020).
    """
    import torch

    if temperature == 0:
        return logits.argmax(dim=-1)
    chances = torch.softmax(logits.float() / temperature, dim=-1)
    order = None
    if top_p is not None and top_p < 1:
        chances, order = chances.sort(dim=-1, descending=True, stable=True)
        before = chances.cumsum(dim=-1) - chances
        chances = chances.masked_fill(before >= top_p, 0.0)
    mass = chances.cumsum(dim=-1, dtype=torch.float64)
    target = (uniform.to(mass.device) * mass[:, -1]).unsqueeze(-1)
    picked = torch.searchsorted(mass, target, right=True).clamp(max=mass.shape[-1] - 1)
    return (picked if order is None else order.gather(-1, picked)).squeeze(-1)
