"""Pairs reduced to items: D_i, pairs per item, discordance, correlation, judge share. All sums are of integers, so exact."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.statistics.interval import Interval, Moments, moments, paired_interval
from services.orchestrator.domain.statistics.pairs import Ints, Mask, PairTable
from services.orchestrator.domain.statistics.proportions import Rate, item_rate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One metric's pairs by unit; every array has shape (units with a pair,), in the order of unit codes.

    Attributes:
        unit: Unit code.
        pairs: Pairs of the unit.
        bad_ref: Pairs with y = 1 in the reference.
        bad_trt: Pairs with y = 1 in the treated arm.
        discordant: Discordant pairs.
        judged: Pairs in which only a judge decided a reply.
    """

    unit: Ints
    pairs: Ints
    bad_ref: Ints
    bad_trt: Ints
    discordant: Ints
    judged: Ints

    @property
    def n_items(self) -> int:
        """N: units with at least one pair."""
        return int(self.unit.size)

    @property
    def n_pairs(self) -> int:
        """Pairs in all."""
        return int(self.pairs.sum())

    @property
    def differences(self) -> Floats:
        """D_i, shape (N,)."""
        return (self.bad_trt - self.bad_ref) / self.pairs

    @property
    def judged_share(self) -> Floats:
        """s_i, shape (N,)."""
        return self.judged / self.pairs

    @property
    def mean_pairs(self) -> float:
        """Mean pairs per item."""
        return self.n_pairs / self.n_items

    @property
    def k_discordant(self) -> int:
        """K: items with any discordant pair."""
        return int(np.count_nonzero(self.discordant))

    @property
    def worse(self) -> int:
        """Pairs where only the treated arm has y = 1."""
        return (int(self.discordant.sum()) + int((self.bad_trt - self.bad_ref).sum())) // 2

    @property
    def better(self) -> int:
        """Pairs where only the reference has y = 1."""
        return int(self.discordant.sum()) - self.worse

    def at(self, units: Mask | Ints) -> "Sample":
        """A part of the units (mask or positions)."""
        return Sample(
            unit=self.unit[units],
            pairs=self.pairs[units],
            bad_ref=self.bad_ref[units],
            bad_trt=self.bad_trt[units],
            discordant=self.discordant[units],
            judged=self.judged[units],
        )

    def moments(self) -> Moments:
        """Moments of the mean difference. Raises TooFewItemsError below two items."""
        h = 1.0 / math.sqrt(self.mean_pairs) if self.n_items else 1.0
        return moments(np.sort(self.differences), h)

    def interval(self, alpha: float = 0.05) -> Interval:
        """The interval of METHOD section 8. Raises TooFewItemsError below two items."""
        return paired_interval(self.differences, self.mean_pairs if self.n_items else 1.0, alpha, self.k_discordant)

    def rates(self, confidence: float = 0.95) -> tuple[Rate, Rate]:
        """Both arms' rates over the same pairs, items weighing equally."""
        return (
            item_rate(self.bad_ref / self.pairs, self.n_pairs, confidence),
            item_rate(self.bad_trt / self.pairs, self.n_pairs, confidence),
        )

    def discordance(self) -> float | None:
        """d: share of discordant pairs; None without pairs."""
        return int(self.discordant.sum()) / self.n_pairs if self.n_items else None

    def correlation(self) -> float | None:
        """Rho: correlation of an item's paired differences over its cells and repeats, by moments.

        The mean product of two different pairs' deviations within an item over the mean squared deviation. None where no
        item has two pairs or the differences do not vary.
        """
        total = self.bad_trt - self.bad_ref
        pairs, ordered = self.n_pairs, int((self.pairs * (self.pairs - 1)).sum())
        if ordered == 0:
            return None
        # Integer sums first, so that the order of items changes no digit.
        mean = int(total.sum()) / pairs
        square = int(self.discordant.sum()) - pairs * mean * mean
        if square <= 0.0:
            return None
        product = int((total * total).sum()) - 2.0 * mean * int((total * self.pairs).sum())
        product += mean * mean * int((self.pairs * self.pairs).sum()) - square
        between, spread = product / ordered, square / pairs
        return max(-1.0, min(1.0, between / spread))


def sample(
    table: PairTable, metric: str, mask: Mask | None = None, units: Ints | None = None, unit_count: int | None = None
) -> Sample:
    """The pairs of a metric among the rows of `mask`, by unit.

    Args:
        table: The pairs.
        metric: One of METRICS.
        mask: Rows to use, shape (rows,); default all.
        units: Unit of each row, shape (rows,); default the table's own.
        unit_count: Number of units when `units` is given.
    """
    known, y_ref, y_trt = table.outcome(metric)
    if mask is not None:
        known = known & mask
    unit = (table.unit if units is None else units)[known]
    size = table.unit_count if unit_count is None else unit_count
    ref, trt = y_ref[known], y_trt[known]

    def count(rows: Mask | None = None) -> Ints:
        return np.bincount(unit if rows is None else unit[rows], minlength=size)

    pairs = count()
    whole = Sample(
        unit=np.arange(size),
        pairs=pairs,
        bad_ref=count(ref == 1),
        bad_trt=count(trt == 1),
        discordant=count(ref != trt),
        judged=count(table.judged[known]),
    )
    return whole.at(np.flatnonzero(pairs))
