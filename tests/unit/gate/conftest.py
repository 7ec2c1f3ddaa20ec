"""Small tables, orders and designs for the gate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from services.orchestrator.domain.gate.design import Design, ItemOrder
from services.orchestrator.domain.gate.result import Progress
from services.orchestrator.domain.gate.rules import GateRule
from services.orchestrator.domain.gate.verdict import advance
from services.orchestrator.domain.statistics.pairs import PairTable


@dataclass(frozen=True)
class Kit:
    """Shorthands; an item's id is its position in the order."""

    @staticmethod
    def rule(name: str = "g", belief: str = "asserts_false", margin_pp: float = 2.0, **more: Any) -> GateRule:
        more = {"metric": "error", "contexts": ("none",), "beliefs": (belief,), **more}
        return GateRule(name=name, margin_pp=margin_pp, **more)

    @staticmethod
    def order(items: int) -> ItemOrder:
        return ItemOrder.of([("core", f"q{i:04d}") for i in range(items)])

    @staticmethod
    def columns(ref: Any, trt: Any, beliefs: tuple[str, ...] = ("asserts_false",), **more: Any) -> dict[str, Any]:
        """Columns of verdict codes, each of shape (items,) or (items, beliefs)."""
        ref, trt = (np.asarray(v).reshape(-1, len(beliefs)) for v in (ref, trt))
        items = ref.shape[0]
        return {
            "item": [f"q{i:04d}" for i in range(items) for _ in beliefs],
            "task": ["core"] * ref.size,
            "context": ["none"] * ref.size,
            "belief": list(beliefs) * items,
            "verdict_ref": ref.ravel(),
            "verdict_trt": trt.ravel(),
            **more,
        }

    @classmethod
    def run(cls, ref: Any, trt: Any, stopping: str = "fixed", rule: GateRule | None = None, **more: Any) -> Progress:
        """The gate after all items."""
        columns = {k: more.pop(k) for k in ("judged", "adopts_ref", "adopts_trt") if k in more}
        table = PairTable.build(**cls.columns(ref, trt, **columns))
        items = np.asarray(ref).shape[0]
        invariants = more.pop("invariants", ())
        design = Design(rules=(rule or cls.rule(),), candidates=("v2",), stopping=stopping, **more)
        return advance(design, cls.order(items), {"v2": table}, items, invariants)


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(scope="session")
def errors() -> Callable[..., tuple[Any, Any]]:
    """errors(items, both, worse, better): verdict codes with so many items of each kind, seeded order."""

    def make(items: int, both: int = 0, worse: int = 0, better: int = 0, seed: int = 1) -> tuple[Any, Any]:
        kinds = np.repeat([0, 1, 2, 3], [items - both - worse - better, both, worse, better])
        kinds = np.random.default_rng(seed).permutation(kinds)
        return np.isin(kinds, (1, 3)).astype(int), np.isin(kinds, (1, 2)).astype(int)

    return make
