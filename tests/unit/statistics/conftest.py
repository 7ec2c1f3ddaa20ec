"""Tables made to order, and the latent-Gaussian generator of the acceptance tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import owens_t

from services.orchestrator.domain.statistics.pairs import INCORRECT, PairTable

Bits = NDArray[np.int8]


def _make_table(y_ref: Any, y_trt: Any, cells: list[tuple[str, str]], **more: Any) -> PairTable:
    """A table of outcomes `error`, shape (items, cells); extra columns are given in the same shape."""
    ref, trt = np.asarray(y_ref), np.asarray(y_trt)
    items, width = ref.shape
    assert width == len(cells)
    return PairTable.build(
        item=[f"q{i:05d}" for i in range(items) for _ in cells],
        task=["core"] * ref.size,
        context=[c for _ in range(items) for c, _ in cells],
        belief=[b for _ in range(items) for _, b in cells],
        verdict_ref=more.pop("verdict_ref", ref * INCORRECT).ravel(),
        verdict_trt=more.pop("verdict_trt", trt * INCORRECT).ravel(),
        **{name: np.asarray(values).ravel() for name, values in more.items()},
    )


def _both_below(q: float, r: float) -> float:
    """P(X > q, Y > q) of two standard normals with correlation r (Owen 1956)."""
    if r >= 1.0:
        return float(0.5 - 0.5 * np.sign(q) * 0 - 0.0)
    tail = float(1.0 - 0.5 * (1.0 + np.math.erf(q / np.sqrt(2.0)))) if False else _tail(q)
    return tail - 2.0 * float(owens_t(q, np.sqrt((1.0 - r) / (1.0 + r))))


def _tail(q: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-q))
