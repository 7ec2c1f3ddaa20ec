"""The pair table and its reduction to items, against plain loops."""

import math
import time
from typing import Any

import numpy as np
import pytest

from services.orchestrator.domain.statistics.interval import TooFewItemsError
from services.orchestrator.domain.statistics.pairs import (
    FAILED,
    INCORRECT,
    REFUSAL,
    UNDECIDED,
    UNGRADABLE,
    PairTable,
    PairTableError,
)
from services.orchestrator.domain.statistics.sample import sample

CELLS = [(c, b) for c in ("none", "emotion:sad") for b in ("none", "none_lead_in", "asserts_false")]


def _columns(items: int = 40, seed: int = 1, **more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows = [(f"q{i:03d}", ("core", "medqa")[i % 2], c, b) for i in range(items) for c, b in CELLS]
    n = len(rows)
    weights = [0.6, 0.25, 0.05, 0.07, 0.03]
    return {
        "item": [r[0] for r in rows],
        "task": [r[1] for r in rows],
        "context": [r[2] for r in rows],
        "belief": [r[3] for r in rows],
        "verdict_ref": rng.choice(5, n, p=weights),
        "verdict_trt": rng.choice(5, n, p=weights),
        "adopts_ref": rng.integers(-1, 2, n),
        "adopts_trt": rng.integers(-1, 2, n),
        "judged": rng.random(n) < 0.3,
        **more,
    }


def _by_loop(columns: dict[str, Any], metric: str, contexts: tuple[str, ...]) -> dict[str, list[tuple[int, int, bool]]]:
    found: dict[str, list[tuple[int, int, bool]]] = {}
    for r in range(len(columns["item"])):
        if columns["context"][r] not in contexts:
            continue
        verdicts = (columns["verdict_ref"][r], columns["verdict_trt"][r])
        adopts = (columns["adopts_ref"][r], columns["adopts_trt"][r])
        if any(v in (UNGRADABLE, FAILED) for v in verdicts):
            continue
        if metric == "adopts_belief" and UNDECIDED in adopts:
            continue
        y = {
            "error": tuple(int(v == INCORRECT) for v in verdicts),
            "refusal": tuple(int(v == REFUSAL) for v in verdicts),
            "adopts_belief": adopts,
        }[metric]
        found.setdefault(columns["item"][r], []).append((int(y[0]), int(y[1]), bool(columns["judged"][r])))
    return found


@pytest.mark.parametrize("metric", ["error", "adopts_belief", "refusal"])
@pytest.mark.parametrize("contexts", [("none",), ("none", "emotion:sad")])
def test_items_equal_plain_loops(metric: str, contexts: tuple[str, ...]) -> None:
    columns = _columns()
    table = PairTable.build(**columns)
    found = sample(table, metric, table.cells(contexts=contexts))
    expected = _by_loop(columns, metric, contexts)
    by_item = {table.item_keys[int(u)][1]: k for k, u in enumerate(found.unit)}
    assert set(by_item) == set(expected)
    for name, pairs in expected.items():
        k = by_item[name]
        assert found.pairs[k] == len(pairs)
        assert found.differences[k] == pytest.approx(sum(t - r for r, t, _ in pairs) / len(pairs), abs=1e-15)
        assert found.judged_share[k] == pytest.approx(sum(j for *_, j in pairs) / len(pairs), abs=1e-15)
    flat = [p for pairs in expected.values() for p in pairs]
    assert found.worse == sum(t > r for r, t, _ in flat)
    assert found.better == sum(t < r for r, t, _ in flat)
    assert found.discordance() == pytest.approx(sum(t != r for r, t, _ in flat) / len(flat))
    assert found.k_discordant == sum(any(t != r for r, t, _ in pairs) for pairs in expected.values())


def test_rates_subtract_to_the_difference() -> None:
    found = sample(PairTable.build(**_columns()), "error")
    reference, treated = found.rates()
    assert treated.value - reference.value == pytest.approx(found.interval().estimate, abs=1e-14)


def test_row_order_changes_no_digit() -> None:
    columns = _columns(cluster=[f"c{int(i[1:]) // 3}" for i in _columns()["item"]])
    order = np.random.default_rng(9).permutation(len(columns["item"]))
    shuffled = {k: [v[i] for i in order] for k, v in columns.items()}
    one, two = (sample(PairTable.build(**c), "error") for c in (columns, shuffled))
    assert one.interval() == two.interval()
    assert one.rates() == two.rates()
    assert one.correlation() == two.correlation()


def test_cluster_is_the_unit_and_empty_names_leave_the_item() -> None:
    columns = _columns(items=10)
    columns["cluster"] = ["pair" if i in ("q000", "q001") else "" for i in columns["item"]]
    table = PairTable.build(**columns)
    assert table.clustered
    assert table.unit_count == 9
    assert sample(table, "error").n_items <= 9
    assert not PairTable.build(**_columns(items=10)).clustered


def test_equal_ids_in_two_tasks_are_two_items() -> None:
    columns = _columns(items=2)
    columns["item"] = ["same"] * len(columns["item"])
    assert PairTable.build(**columns).item_keys == (("core", "same"), ("medqa", "same"))


def test_correlation_is_recovered() -> None:
    rng = np.random.default_rng(4)
    items, cells, rho = 6_000, 4, 0.3
    shared = rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(items, 1))
    own = rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(items, cells))
    d = np.where(rng.random((items, cells)) < math.sqrt(rho), shared, own).ravel()
    table = PairTable.build(
        item=[f"{i:05d}" for i in range(items) for _ in range(cells)],
        task=["t"] * d.size,
        context=["none"] * d.size,
        belief=["none"] * d.size,
        repeat=np.tile(np.arange(cells), items),
        verdict_ref=np.where(d < 0, INCORRECT, 0),
        verdict_trt=np.where(d > 0, INCORRECT, 0),
    )
    found = sample(table, "error")
    assert found.correlation() == pytest.approx(rho, abs=0.03)
    assert found.discordance() == pytest.approx(0.2, abs=0.01)
    variance = found.interval().standard_error ** 2 * items
    assert variance == pytest.approx(0.2 * (1 + (cells - 1) * rho) / cells, rel=0.06)


def test_correlation_is_absent_with_one_pair_an_item_or_without_variation() -> None:
    columns = _columns()
    table = PairTable.build(**columns)
    assert sample(table, "error", table.cells(["none"], ["none"])).correlation() is None
    same = {**columns, "verdict_trt": columns["verdict_ref"]}
    assert sample(PairTable.build(**same), "error").correlation() is None


def test_no_pairs_have_no_interval() -> None:
    columns = _columns(items=3)
    columns["verdict_trt"] = [FAILED] * len(columns["item"])
    empty = sample(PairTable.build(**columns), "error")
    assert empty.n_items == 0
    assert empty.discordance() is None
    with pytest.raises(TooFewItemsError):
        empty.interval()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict_ref": [0]}, "verdict_ref has shape"),
        ({"verdict_trt": [7] * 60}, "verdict_trt has a value outside"),
        ({"adopts_ref": [2] * 60}, "adopts_ref has a value outside"),
        ({"repeat": [-1] * 60}, "repeat has a value outside"),
        ({"belief": ["none"] * 60}, "occurs twice"),
        ({"task": ["core"]}, "rows"),
        ({"cluster": [f"c{k}" for k in range(60)]}, "two clusters"),
    ],
)
def test_bad_columns_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PairTableError, match=message):
        PairTable.build(**{**_columns(items=10), **change})


def test_unknown_metric_is_named() -> None:
    with pytest.raises(ValueError, match="unknown metric 'speed'"):
        PairTable.build(**_columns(items=2)).outcome("speed")


def test_a_million_rows_take_seconds() -> None:
    items, cells = 100_000, 10
    n = items * cells
    rng = np.random.default_rng(2)
    names = [f"core-{i:06d}" for i in range(items)]
    beliefs = ["none", "none_lead_in", "asserts_false", "denies_true", "asserts_true"]
    started = time.process_time()
    table = PairTable.build(
        item=[name for name in names for _ in range(cells)],
        task=["core"] * n,
        context=[c for _ in range(items) for c in ("none", "emotion:sad") for _ in beliefs],
        belief=beliefs * (2 * items),
        verdict_ref=rng.integers(0, 3, n),
        verdict_trt=rng.integers(0, 3, n),
    )
    assert sample(table, "error", table.cells(beliefs=["asserts_false"])).n_items == items
    assert time.process_time() - started < 20
