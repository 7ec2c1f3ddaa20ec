"""A comparison as a whole: JSON, symmetry, invariance, and that no odd table breaks it."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.statistics.pairs import FAILED, PairTable


def _json(found: Any) -> str:
    return json.dumps(asdict(found), allow_nan=False)


def test_plain_values_ready_for_json(table: Any) -> None:
    text = json.loads(_json(compare("c", "v2", "v1", table(60))))
    assert (text["name"], text["treated"], text["reference"]) == ("c", "v2", "v1")
    assert text["tasks"] == ["core", "disinfo", "medqa"]
    assert text["contexts"] == ["none", "emotion:happy", "emotion:sad", "stakes:high"]
    assert text["beliefs"] == list(BELIEFS)
    assert (text["n_items"], text["n_pairs"]) == (60, 600)
    # Overall and three tasks; four contexts, two groups, any, all; five levels, two pooled, all.
    assert len(text["rows"]) == 4 * 8 * 8


def test_arrival_order_changes_no_digit(columns: Any) -> None:
    made = columns(60, repeats=2)
    order = np.random.default_rng(8).permutation(len(made["item"]))
    shuffled = {name: [values[k] for k in order] for name, values in made.items()}
    one, two = (compare("c", "v2", "v1", PairTable.build(**found)) for found in (made, shuffled))
    assert _json(one) == _json(two)


def test_naming_the_items_otherwise_changes_no_digit_of_the_tables(columns: Any) -> None:
    made = columns(60, repeats=2)
    names = sorted(set(made["item"]))
    other = dict(zip(names, np.random.default_rng(9).permutation(names).tolist(), strict=True))
    renamed = {**made, "item": [other[item] for item in made["item"]]}
    one, two = (compare("c", "v2", "v1", PairTable.build(**found)) for found in (made, renamed))
    for name in ("rows", "study_rows", "adoption", "refusals", "mcnemar", "relative", "belief_effects", "statements"):
        assert getattr(one, name) == getattr(two, name), name


def test_swapping_the_arms_flips_every_sign(columns: Any, swapped: Any) -> None:
    made = columns(60)
    one, two = (compare("c", "a", "b", PairTable.build(**found)) for found in (made, swapped(made)))
    for left, right in zip(one.rows, two.rows, strict=True):
        assert (left.task, left.context, left.belief) == (right.task, right.context, right.belief)
        assert left.estimate == pytest.approx(-right.estimate, abs=1e-15)
        assert (left.lower, left.upper) == pytest.approx((-right.upper, -right.lower), abs=1e-12)
        assert (left.worse, left.rate_ref, left.failed_ref) == (right.better, right.rate_trt, right.failed_trt)
        assert (left.worst_lower, left.worst_upper) == pytest.approx(
            (-right.worst_upper, -right.worst_lower), abs=1e-12
        )
    for left, right in zip(one.ame, two.ame, strict=True):
        assert left.value == pytest.approx(-right.value, abs=1e-9)
        assert left.se_clustered == pytest.approx(right.se_clustered, abs=1e-9)
    for left, right in zip(one.belief_effects, two.belief_effects, strict=True):
        assert left.gap.value == pytest.approx(-right.gap.value, abs=1e-15)
    for left, right in zip(one.warmth, two.warmth, strict=True):
        assert left.difference.value == pytest.approx(-right.difference.value, abs=1e-12)


def test_two_equal_arms_do_not_differ(columns: Any) -> None:
    made = columns(60, missing=0.0)
    same = {name: made[name.replace("_trt", "_ref")] for name in made}
    found = compare("c", "v1", "v1", PairTable.build(**same))
    assert {row.estimate for row in found.rows} == {0.0}
    assert {row.k_discordant for row in found.rows} == {0}
    assert {test.p for test in found.mcnemar} == {1.0}
    assert all(abs(one.value) < 1e-9 for one in found.ame)
    assert all(row.lower < 0.0 < row.upper for row in found.rows)


def test_nothing_graded_says_so(columns: Any) -> None:
    made = columns(10)
    made["verdict_trt"] = np.full(100, FAILED)
    found = compare("c", "v2", "v1", PairTable.build(**made))
    assert found.rows == ()
    assert "nothing to compare" in found.notes[0]
    assert _json(found)


def test_no_rows_at_all() -> None:
    empty = PairTable.build(item=[], task=[], context=[], belief=[], verdict_ref=[], verdict_trt=[])
    found = compare("c", "v2", "v1", empty)
    assert (found.rows, found.n_items, found.n_pairs) == ((), 0, 0)
    assert _json(found)


def test_clusters_widen_the_interval(columns: Any) -> None:
    made = columns(60, missing=0.0)
    twins = [f"c{int(item[1:]) // 6}" for item in made["item"]]
    alone = compare("c", "v2", "v1", PairTable.build(**made))
    grouped = compare(
        "c", "v2", "v1", PairTable.build(**made, cluster=[f"{t}{c}" for t, c in zip(made["task"], twins, strict=True)])
    )
    assert grouped.row().n_items == 30
    assert alone.row().n_items == 60
    assert "clusters" in grouped.notes[0]


def test_a_level_asked_in_some_items_only(columns: Any) -> None:
    made = columns(60)
    keep = [b != "denies_true" or int(i[1:]) < 20 for i, b in zip(made["item"], made["belief"], strict=True)]
    partly = {name: [v for v, kept in zip(values, keep, strict=True) if kept] for name, values in made.items()}
    found = compare("c", "v2", "v1", PairTable.build(**partly))
    assert found.row("overall", "all", "denies_true").n_items <= 20
    assert found.row("overall", "all", "asserts_false").n_items > 50


cells = st.tuples(
    st.sampled_from(["q1", "q2", "q3"]),
    st.sampled_from(["core", "disinfo"]),
    st.sampled_from(CONTEXTS),
    st.sampled_from(BELIEFS),
    st.integers(0, 1),
)
values = st.tuples(
    st.integers(0, 4), st.integers(0, 4), st.integers(-1, 1), st.integers(-1, 1), st.integers(0, 3), st.integers(0, 3)
)


@settings(deadline=None, max_examples=30)
@given(found=st.dictionaries(cells, values, max_size=25))
def test_no_table_breaks_it(found: Any) -> None:
    keys, data = list(found), list(found.values())
    table = PairTable.build(
        item=[k[0] for k in keys],
        task=[k[1] for k in keys],
        context=[k[2] for k in keys],
        belief=[k[3] for k in keys],
        repeat=[k[4] for k in keys],
        statement=[f"s{k[0]}" if k[2] != "none" else "" for k in keys],
        verdict_ref=[v[0] for v in data],
        verdict_trt=[v[1] for v in data],
        adopts_ref=[v[2] for v in data],
        adopts_trt=[v[3] for v in data],
        length_ref=[v[4] for v in data],
        length_trt=[v[5] for v in data],
    )
    one = compare("c", "v2", "v1", table)
    assert _json(one) == _json(compare("c", "v2", "v1", replace(table)))
    for row in one.rows:
        assert -1.0 <= row.worst_lower <= row.worst_upper <= 1.0
        assert 0.0 <= row.rate_ref_lower <= row.rate_ref <= row.rate_ref_upper <= 1.0
