"""What an inconclusive gate recommends is enough, on average, and not said where it is no remedy."""

from typing import Any

import numpy as np
import pytest

from services.orchestrator.domain.gate.advice import advise
from services.orchestrator.domain.statistics.pairs import PairTable
from services.orchestrator.domain.statistics.sample import sample


def _sample(kit: Any, d: Any) -> Any:
    d = np.asarray(d)
    return sample(PairTable.build(**kit.columns((d < 0).astype(int), (d > 0).astype(int))), "error")


def test_the_items_advised_give_about_the_power_promised(kit: Any) -> None:
    rng = np.random.default_rng(9)
    d = rng.permutation(np.repeat([-1, 0, 1], [15, 270, 15]))
    advice = advise(kit.rule(), _sample(kit, d), 0.05, 0.0, 1)
    more = 300 + advice.items
    passed = [
        _sample(kit, rng.choice([-1, 0, 1], p=[0.05, 0.9, 0.05], size=more)).interval().upper < 0.02 for _ in range(300)
    ]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.08)


def test_no_remedy_at_the_margin_with_its_allowance(kit: Any) -> None:
    d = np.repeat([-1, 0, 1], [15, 270, 15])
    assert advise(kit.rule(), _sample(kit, d), 0.05, 0.02, 1).items is None
    assert advise(kit.rule(), _sample(kit, d[:1]), 0.05, 0.0, 1).items is None


def test_repeats_help_only_against_noise_between_them(kit: Any) -> None:
    rng = np.random.default_rng(10)
    beliefs = tuple(f"b{k}" for k in range(4))
    noise = rng.choice([-1, 0, 1], p=[0.06, 0.88, 0.06], size=(400, 4))
    fixed = np.repeat(noise[:, :1], 4, axis=1)
    found = []
    for d in (noise, fixed):
        columns = kit.columns((d < 0).astype(int), (d > 0).astype(int), beliefs=beliefs)
        table = PairTable.build(**columns)
        found.append(advise(kit.rule(margin_pp=1.0), sample(table, "error"), 0.05, 0.0, 1))
    assert found[0].repeats is not None
    assert found[1].repeats is None
    assert found[1].items > found[0].items > 0
