"""Muon in fp32: momentum whose matrix updates are made orthogonal before they are applied.

Source: Jordan and others, "Muon: an optimizer for hidden layers in neural networks" (2024). torch's own runs the
Newton-Schulz steps in bf16, which a processor without bf16 arithmetic does six times slower than fp32; and matrices of one
shape are treated together here, because those of a miniature are too small to fill a core one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon:
    """An optimizer for matrices.

    Args:
        matrices: Parameters of two dimensions.
        momentum: Of the gradient's running sum, in Nesterov's form.
        weight_decay: Decoupled, relative to the learning rate.
        steps: Newton-Schulz steps.
    """

    def __init__(
        self, matrices: Iterable[torch.Tensor], momentum: float = 0.95, weight_decay: float = 0.01, steps: int = 3
    ) -> None:
        import torch

        by_shape: dict[tuple[int, ...], list[torch.Tensor]] = {}
        for matrix in matrices:
            by_shape.setdefault(tuple(matrix.shape), []).append(matrix)
        self._groups = [(group, torch.zeros((len(group), *shape))) for shape, group in by_shape.items()]
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._steps = steps

    def step(self, rate: float) -> None:
        """Apply the gradients at a learning rate and forget them."""
        import torch

        with torch.no_grad():
            for group, buffer in self._groups:
                gradients = torch.stack([_gradient(matrix) for matrix in group])
                buffer.lerp_(gradients, 1.0 - self._momentum)
                updates = orthogonal(gradients.lerp_(buffer, self._momentum), self._steps)
                rows, columns = buffer.shape[1:]
                scale = rate * max(1.0, rows / columns) ** 0.5
                _apply(group, updates, scale, 1.0 - rate * self._weight_decay)


def orthogonal(matrices: torch.Tensor, steps: int) -> torch.Tensor:
    """The matrices with singular values pushed near 1 by Newton-Schulz steps; shape (count, rows, columns)."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x: torch.Tensor = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    result: torch.Tensor = x.mT if tall else x
    return result


def _gradient(matrix: torch.Tensor) -> torch.Tensor:
    assert matrix.grad is not None
    return matrix.grad


def _apply(group: Sequence[torch.Tensor], updates: torch.Tensor, scale: float, decay: float) -> None:
    for matrix, update in zip(group, updates, strict=True):
        matrix.mul_(decay).add_(update, alpha=-scale)
        matrix.grad = None
