"""METHOD section 8, acceptance tests of the interval: coverage, misses with few discordant pairs, more cells of the same.

The ordinary run has fewer simulations and threefold tolerances; `make nightly` runs the full sizes.
"""

from typing import Any

import numpy as np
import pytest
from scipy.special import stdtrit

from services.orchestrator.domain.statistics.interval import moments
from services.orchestrator.domain.statistics.sample import sample

MARGIN = 0.02
# Simulations per cell, and the widening of the tolerance.
SIZES = [
    pytest.param(400, 3.0, id="tenth"),
    pytest.param(4_000, 1.0, id="full", marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("runs", "wider"), SIZES)
@pytest.mark.parametrize("p", [0.2, 0.35])
@pytest.mark.parametrize("d", [0.1, 0.2])
def test_two_sided_coverage(world: Any, runs: Any, wider: Any, p: Any, d: Any) -> None:
    made = world(p, d, 0.2)
    rng = np.random.default_rng(11)
    for cells in (4, 8):
        for items in (100, 200, 500):
            found = moments(made.differences(rng, (runs, items), cells), cells**-0.5)
            lower, upper = found.bounds(0.025)
            covered = float(((lower <= 0.0) & (upper >= 0.0)).mean())
            assert covered == pytest.approx(0.95, abs=0.015 * wider), (cells, items)


def _misses(made: Any, rng: Any, runs: int, items: int, cells: int) -> tuple[float, float]:
    """How often a true difference of the margin passes: by our rule, and by the plain t interval."""
    ref, trt = made.draw(rng, (runs, items), cells, MARGIN)
    found = moments((trt - ref).mean(axis=-1), cells**-0.5)
    upper = found.bounds(0.05)[1]
    discordant = (ref != trt).any(axis=-1).sum(axis=-1)
    ours = (upper < MARGIN) & ((discordant >= 10) | (items * MARGIN >= 3.0 - 1e-9))
    plain = found.mean - stdtrit(items - 1, 0.05) * found.standard_error < MARGIN
    return float(ours.mean()), float(plain.mean())


@pytest.mark.parametrize(("runs", "wider"), SIZES)
def test_rare_differences_do_not_pass_too_often(world: Any, runs: Any, wider: Any) -> None:
    rng = np.random.default_rng(12)
    worst_plain = 0.0
    for p in (0.03, 0.05):
        for d in (0.006, 0.015, 0.03):
            # The most correlation of cells that every one of these worlds can have.
            made = world(p, d, 0.1)
            for cells in (1, 4, 8):
                for items in (50, 150, 400, 1_000):
                    ours, plain = _misses(made, rng, runs, items, cells)
                    assert ours <= 0.05 + 0.015 * wider, (p, d, cells, items)
                    worst_plain = max(worst_plain, plain)
    # Without this the test would prove nothing.
    assert worst_plain > 0.10


@pytest.mark.parametrize(("runs", "wider"), SIZES)
def test_rare_differences_that_cluster_in_items_pass_a_little_more_often(world: Any, runs: Any, wider: Any) -> None:
    rng = np.random.default_rng(13)
    for rho in (0.2, 0.3):
        ours, plain = _misses(world(0.03, 0.006, rho), rng, runs, 150, 8)
        assert ours <= 0.05 + 0.035 * wider
        assert plain > ours


@pytest.mark.parametrize("times", [2, 5])
def test_duplicated_cells_hardly_shrink_the_interval(world: Any, blank: Any, times: Any) -> None:
    ref, trt = world(0.3, 0.15, 0.2).draw(np.random.default_rng(14), (400,), 4)
    cells = [(f"c{k}", "none") for k in range(4 * times)]
    once = sample(blank(400, cells[:4])(ref, trt), "error")
    more = sample(blank(400, cells)(np.tile(ref, times), np.tile(trt, times)), "error")
    assert once.k_discordant == more.k_discordant >= 100
    widths = [one.interval().upper - one.interval().lower for one in (once, more)]
    assert 0.99 * widths[0] <= widths[1] <= widths[0]
    assert once.interval().standard_error == pytest.approx(more.interval().standard_error, rel=1e-12)
