"""Several tests at once: Holm's step-down for the gate, Benjamini-Hochberg for the tables."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm-adjusted p-values along the first axis, in the order given (Holm, Scand. J. Stat. 6, 65-70, 1979).

    Args:
        p_values: Shape (hypotheses, ...); further axes are separate families.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.shape[0] == 0:
        return p.copy()
    order = np.argsort(p, axis=0, kind="stable")
    factors = np.arange(p.shape[0], 0, -1, dtype=np.float64).reshape((-1,) + (1,) * (p.ndim - 1))
    stepped = np.minimum(1.0, np.maximum.accumulate(np.take_along_axis(p, order, axis=0) * factors, axis=0))
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, stepped, axis=0)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Benjamini-Hochberg adjusted p-values of one family, in the order given (JRSS B 57, 289-300, 1995)."""
    p = np.asarray(p_values, dtype=np.float64)
    if p.size == 0:
        return p.copy()
    order = np.argsort(p, kind="stable")
    ratio = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(ratio[::-1])[::-1])
    return adjusted
