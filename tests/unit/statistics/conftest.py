"""The latent-Gaussian generator of the acceptance tests, and tables made from its outcomes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t

from services.orchestrator.domain.statistics.pairs import INCORRECT, PairTable

Bits = NDArray[np.int8]


def _both_above(q: float, r: float) -> float:
    """P(X > q, Y > q) of two standard normals with correlation r (Owen 1956)."""
    return float(ndtr(-q) - 2.0 * owens_t(q, np.sqrt((1.0 - r) / (1.0 + r))))


@dataclass(frozen=True)
class World:
    """Errors with item, item x cell, item x model and residual effects.

    Without a difference both models err with probability `p`, their replies to one prompt differ with probability `d`, and
    an item's paired differences in two cells correlate by `rho`. A difference moves the treated model's threshold.
    """

    p: float
    d: float
    rho: float
    item: float
    cell: float
    model: float

    @classmethod
    def of(cls, p: float, d: float, rho: float) -> "World":
        """Solves for the variance shares."""
        q = float(ndtri(1.0 - p))
        together = brentq(lambda r: 2.0 * (p - _both_above(q, r)) - d, 0.0, 1.0 - 1e-12)
        # Less item x cell variance where the item x model effect alone cannot give so much correlation.
        for part in (0.8, 0.95, 0.99, 0.999):
            item = part * together
            room = 1.0 - (together - item)

            def excess(model: float, item: float = item) -> float:
                return 2.0 * (_both_above(q, item + model) - _both_above(q, item)) - rho * d

            if excess(min(room, 1.0 - 1e-9) - item) >= 0.0:
                return cls(p, d, rho, item, together - item, float(brentq(excess, 0.0, min(room, 1.0 - 1e-9) - item)))
        raise ValueError(f"no world has p {p}, d {d}, rho {rho}")

    def draw(
        self, rng: np.random.Generator, shape: tuple[int, ...], cells: int, difference: float = 0.0
    ) -> tuple[Bits, Bits]:
        """Errors of reference and treated model, each of shape (*shape, cells)."""

        def normal(*last: int) -> NDArray[np.float32]:
            return rng.standard_normal((*shape, *last), dtype=np.float32)

        shared = np.sqrt(self.item, dtype=np.float32) * normal(1)
        shared = shared + np.sqrt(self.cell, dtype=np.float32) * normal(cells)
        rest = np.float32(max(0.0, 1.0 - self.item - self.cell - self.model))
        found = []
        for p in (self.p, self.p + difference):
            own = np.sqrt(self.model, dtype=np.float32) * normal(1) + np.sqrt(rest) * normal(cells)
            found.append((shared + own > np.float32(ndtri(1.0 - p))).astype(np.int8))
        return found[0], found[1]

    def differences(
        self, rng: np.random.Generator, shape: tuple[int, ...], cells: int, difference: float = 0.0
    ) -> NDArray[np.float64]:
        """D_i, shape `shape`."""
        ref, trt = self.draw(rng, shape, cells, difference)
        return np.asarray((trt - ref).mean(axis=-1), dtype=np.float64)


@pytest.fixture(scope="session")
def world() -> Callable[..., World]:
    """Builds a World: world(p, d, rho)."""
    return World.of


@pytest.fixture(scope="session")
def blank() -> Callable[..., Callable[[Any, Any], PairTable]]:
    """blank(items, cells) gives a function that puts errors, shape (items, len(cells)), into a table built once."""

    def build(items: int, cells: list[tuple[str, str]], **more: Any) -> Callable[[Any, Any], PairTable]:
        names = [f"q{i:05d}" for i in range(items) for _ in cells]
        mark = np.arange(items * len(cells))
        made = PairTable.build(
            item=names,
            task=["core"] * len(names),
            context=[c for _ in range(items) for c, _ in cells],
            belief=[b for _ in range(items) for _, b in cells],
            verdict_ref=np.zeros(len(names)),
            verdict_trt=np.zeros(len(names)),
            length_ref=mark,
            **more,
        )
        # Rows are sorted within items: `length_ref` remembers where each came from.
        order = made.length_ref
        empty = np.zeros_like(made.length_ref)

        def fill(ref: Any, trt: Any) -> PairTable:
            y_ref, y_trt = (np.asarray(y, dtype=np.int8).ravel()[order] * np.int8(INCORRECT) for y in (ref, trt))
            return replace(made, verdict_ref=y_ref, verdict_trt=y_trt, length_ref=empty)

        return fill

    return build
