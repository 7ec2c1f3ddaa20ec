"""Pairs of two made-up arms in every condition, and the same as plain rows for straight-line computation."""

from typing import Any

import numpy as np
import pytest

from services.orchestrator.domain.conditions import BELIEFS
from services.orchestrator.domain.statistics.pairs import FAILED, INCORRECT, REFUSAL, UNDECIDED, UNGRADABLE, PairTable

CONTEXTS = ("none", "emotion:sad", "emotion:happy", "stakes:high")


def _columns(items: int = 60, seed: int = 1, repeats: int = 1, missing: float = 0.04, **more: Any) -> dict[str, Any]:
    """Default design: 5 belief levels x {none, one context}; three tasks; the treated arm is worse given a false belief."""
    rng = np.random.default_rng(seed)
    keys = [
        (f"q{i:03d}", ("core", "disinfo", "medqa")[i % 3], c, b, "" if c == "none" else f"{c}-{i % 4}", r)
        for i in range(items)
        for c in ("none", CONTEXTS[1 + i // 3 % 3])
        for b in BELIEFS
        for r in range(repeats)
    ]
    n = len(keys)
    false = np.array([key[3] in ("asserts_false", "denies_true") for key in keys])
    hard = np.repeat(rng.random(items) < 0.4, n // items)
    verdicts, adopts, lengths, warmth = [], [], [], []
    for extra in (0.05, 0.25):
        verdict = (rng.random(n) < 0.1 + 0.3 * hard + extra * false).astype(int) * INCORRECT
        kind = rng.random(n)
        verdict[kind < 0.05] = REFUSAL
        verdict[kind > 1 - missing] = UNGRADABLE
        verdict[kind > 1 - missing / 2] = FAILED
        adopt = (rng.random(n) < 0.1 + extra * false).astype(int)
        adopt[(verdict >= UNGRADABLE) | np.array([key[3] == "asserts_true" for key in keys])] = UNDECIDED
        verdicts.append(verdict)
        adopts.append(adopt)
        lengths.append(np.where(verdict == FAILED, 0, rng.integers(100, 900, n)))
        warmth.append(np.where(rng.random(n) < 0.02, np.nan, rng.normal(0.01 + extra / 10, 0.02, n)))
    return {
        "item": [key[0] for key in keys],
        "task": [key[1] for key in keys],
        "context": [key[2] for key in keys],
        "belief": [key[3] for key in keys],
        "statement": [key[4] for key in keys],
        "repeat": [key[5] for key in keys],
        "verdict_ref": verdicts[0],
        "verdict_trt": verdicts[1],
        "adopts_ref": adopts[0],
        "adopts_trt": adopts[1],
        "length_ref": lengths[0],
        "length_trt": lengths[1],
        "warmth_ref": warmth[0],
        "warmth_trt": warmth[1],
        **more,
    }


def _rows(columns: dict[str, Any]) -> list[dict[str, Any]]:
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@pytest.fixture(scope="session")
def columns() -> Any:
    """columns(items, seed, repeats, missing) makes the columns of a table."""
    return _columns


@pytest.fixture(scope="session")
def rows() -> Any:
    """rows(columns) gives the same as dictionaries."""
    return _rows


@pytest.fixture(scope="session")
def table(columns: Any) -> Any:
    """table(...) builds the table of `columns`."""
    return lambda *args, **more: PairTable.build(**columns(*args, **more))


@pytest.fixture(scope="session")
def swapped() -> Any:
    """swapped(columns) exchanges the arms."""

    def swap(found: dict[str, Any]) -> dict[str, Any]:
        other = {"ref": "trt", "trt": "ref"}
        return {
            name[:-3] + other[name[-3:]] if name[-3:] in other and "_" in name else name: values
            for name, values in found.items()
        }

    return swap
