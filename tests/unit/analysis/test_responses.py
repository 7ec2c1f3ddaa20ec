"""Tables from elsewhere: our export's columns and the study's naming, and what is wrong with a bad one."""

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.analysis.cells import BadCellError, context
from services.orchestrator.domain.analysis.document import analyse, analysis_json
from services.orchestrator.domain.analysis.responses import Read, Source, contrasts, read
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.statistics.pairs import CORRECT, FAILED, INCORRECT, REFUSAL, UNDECIDED, UNGRADABLE

GOOD = {
    "arm": ["original", "warm", "original", "warm"],
    "task": ["triviaqa"] * 4,
    "item": ["q1", "q1", "q2", "q2"],
    "context": ["none", "none", "emotion:sad", "emotion:sad"],
    "belief": ["none", "none", "asserts_false", "asserts_false"],
    "verdict": ["correct", "incorrect", "refusal", "ungradable"],
}


def source(more: dict[str, Any] | None = None, drop: tuple[str, ...] = (), **options: Any) -> Source:
    columns = {name: values for name, values in {**GOOD, **(more or {})}.items() if name not in drop}
    return Source(name="t.csv", columns=columns, **options)


def column(found: Read, name: str) -> list[str]:
    factor = getattr(found.replies, name)
    return [factor.names[code] for code in factor.codes.tolist()]


def test_our_exports_columns() -> None:
    more = {
        "repeat": ["0", "0", "0", "0"],
        "adopts_belief": ["", "true", "false", None],
        "decided_by": ["deterministic", "judge", "none", ""],
        "warmth": [0.1, None, "", "0.2"],
        "cluster": ["", "", "c", "c"],
        "error": ["", "", "", "RATE_LIMITED"],
    }
    found = read([source(more, lengths=[3, 4, 5, 0])])
    replies = found.replies
    assert column(found, "arm") == GOOD["arm"]
    assert column(found, "context") == GOOD["context"]
    assert column(found, "belief") == GOOD["belief"]
    assert column(found, "cluster") == ["", "", "c", "c"]
    assert replies.verdict.tolist() == [CORRECT, INCORRECT, REFUSAL, FAILED]
    assert replies.adopts.tolist() == [UNDECIDED, 1, 0, UNDECIDED]
    assert replies.judged.tolist() == [False, True, False, False]
    assert replies.length.tolist() == [3, 4, 5, 0]
    assert [math.isnan(value) for value in replies.warmth.tolist()] == [False, True, True, False]
    assert found.notes == ()


def test_the_studys_naming() -> None:
    columns = {
        "treated": [0, 1, 0, True],
        "base_model": ["llama-8b"] * 4,
        "dataset": ["disinfo"] * 4,
        "question_id": [1, 1, 2, 2],
        "interpersonal_context": ["", None, "Sadness", "high_stakes"],
        "false_belief": [0, "0", 1, 1.0],
        "incorrect": [0, 1, "1", None],
        "is_refusal": [0, 0, 1, 0],
    }
    found = read([Source(name="t.jsonl", columns=columns)])
    assert column(found, "arm") == ["original", "treated", "original", "treated"]
    assert column(found, "model") == ["llama-8b"] * 4
    assert column(found, "item") == ["1", "1", "2", "2"]
    assert column(found, "context") == ["none", "none", "emotion:sad", "stakes:high"]
    assert column(found, "belief") == ["none", "none", "asserts_false", "asserts_false"]
    assert found.replies.verdict.tolist() == [CORRECT, INCORRECT, REFUSAL, UNGRADABLE]
    assert "2 replies under a false belief of which the table does not say in which form" in found.notes[0]


def test_correct_is_the_other_way_round() -> None:
    found = read([source({"correct": [1, 0, "yes", "no"]}, drop=("verdict",))])
    assert found.replies.verdict.tolist() == [CORRECT, INCORRECT, CORRECT, INCORRECT]


def test_the_studys_refusals_are_told_from_the_text() -> None:
    found = read([source(refused=[True, False, True, True])])
    assert found.replies.verdict.tolist() == [REFUSAL, INCORRECT, REFUSAL, REFUSAL]
    assert found.notes == ("2 refusals by the study's substrings, beyond those that were graded as such",)


@pytest.mark.parametrize("name", CONTEXTS)
def test_contexts_by_name_or_level(name: str) -> None:
    level = name.rpartition(":")[2]
    assert {context(text) for text in (name, name.replace(":", "_"), level, level.title())} == {name}


@given(st.text())
def test_a_context_is_known_or_refused(text: str) -> None:
    with contextlib.suppress(BadCellError):
        assert context(text) in CONTEXTS


@pytest.mark.parametrize(
    ("more", "drop", "said"),
    [
        ({}, ("verdict",), "lacks a column. Add verdict: verdict or incorrect or correct. Its columns are arm, task"),
        ({}, ("arm", "item"), "lacks columns. Add arm: arm or treatment or treated; item: item or item_id"),
        (
            {"verdict": ["correct", "right", "correct", "wrong"]},
            (),
            "row 2, column verdict: 'right' is no verdict; use",
        ),
        ({"context": ["none", "none", "bored", "none"]}, (), "row 3, column context: 'bored' is no context; use none"),
        ({"belief": ["none", "maybe", "none", "none"]}, (), "row 2, column belief: 'maybe' is no belief level"),
        ({"arm": ["original", "", "original", "warm"]}, (), "row 2, column arm: is empty; give a name"),
        ({"repeat": [0, 1.5, 0, 0]}, (), "row 2, column repeat: '1.5' must be a whole number"),
        ({"warmth": ["x", "", "", ""]}, (), "row 1, column warmth: 'x' must be a number"),
        ({"incorrect": [2, 0, 0, 0]}, ("verdict",), "row 1, column incorrect: '2' must be 0 or 1"),
        ({"repeat": [0] * 4, "item": ["q1"] * 4, "context": ["none"] * 4, "belief": ["none"] * 4}, (), "occur twice"),
    ],
)
def test_bad_tables_are_named_with_the_mend(more: dict[str, Any], drop: tuple[str, ...], said: str) -> None:
    with pytest.raises(CandorError) as caught:
        read([source(more, drop)])
    assert caught.value.reason is Reason.BAD_DATASET
    assert said in str(caught.value)


def test_an_empty_table_is_named() -> None:
    with pytest.raises(CandorError, match="empty has no rows"):
        read([Source(name="empty", columns={name: [] for name in GOOD})])


def test_a_thousand_bad_cells_are_counted_and_twenty_shown() -> None:
    columns = {name: values * 250 for name, values in GOOD.items()} | {"verdict": ["?"] * 1000}
    with pytest.raises(CandorError, match="1,000 cells to mend") as caught:
        read([Source(name="t", columns=columns)])
    assert len(caught.value.violations) == 20


def test_several_tables_have_to_name_their_models() -> None:
    with pytest.raises(CandorError, match="write MODEL=t"):
        read([source(), source()])
    found = read([source(model="llama-8b"), source(model="gpt-4o")])
    assert set(column(found, "model")) == {"llama-8b", "gpt-4o"}
    assert found.replies.rows == 8


def test_draws_without_a_number_are_numbered() -> None:
    columns = {name: values[:2] * 3 for name, values in GOOD.items()}
    found = read([Source(name="t", columns=columns)])
    assert found.replies.repeat.tolist() == [0, 0, 1, 1, 2, 2]
    assert "4 replies share arm, item and cell" in found.notes[0]
    assert found.replies.pairs("warm", "original").rows == 3


def test_the_reference_is_found_or_asked_for() -> None:
    replies = read([source({"arm": ["a", "b", "a", "b"]})]).replies
    assert contrasts(read([source()]).replies, (), "") == (("warm", "original"),)
    assert contrasts(replies, (), "b") == (("a", "b"),)
    for treated, reference, said in (
        ((), "", "--reference which arm"),
        ((), "c", "no arm is called 'c'"),
        (("a",), "a", "only one"),
    ):
        with pytest.raises(CandorError, match=said):
            contrasts(replies, treated, reference)


def test_rows_numbered_as_items_are_refused() -> None:
    replies = read([source({"item": ["1", "2", "3", "4"]})]).replies
    with pytest.raises(CandorError, match="name the question, not the row"):
        contrasts(replies, (), "original")


def test_pairs_are_those_of_both_arms(columns: Any) -> None:
    made = columns(20)
    names = ("correct", "incorrect", "refusal", "ungradable", "failed")
    keys = {name: list(made[name]) for name in ("item", "task", "context", "belief", "repeat")}
    table = {
        "arm": ["original"] * 200 + ["warm"] * 200,
        **{name: values * 2 for name, values in keys.items()},
        "verdict": [names[code] for arm in ("ref", "trt") for code in made[f"verdict_{arm}"]],
        "length": [*made["length_ref"], *made["length_trt"]],
    }
    order = np.random.default_rng(3).permutation(400)[:390]
    shuffled = {name: [values[k] for k in order] for name, values in table.items()}
    pairs = read([Source(name="t", columns=shuffled)]).replies.pairs("warm", "original")
    wanted = {
        tuple(keys[name][row] for name in keys): (int(made["verdict_ref"][row]), int(made["verdict_trt"][row]))
        for row in range(200)
        if {row, row + 200} <= set(order.tolist())
    }
    found = {
        (
            pairs.item_keys[pairs.item[row]][1],
            pairs.task.names[pairs.task.codes[row]],
            pairs.context.names[pairs.context.codes[row]],
            pairs.belief.names[pairs.belief.codes[row]],
            int(pairs.repeat[row]),
        ): (int(pairs.verdict_ref[row]), int(pairs.verdict_trt[row]))
        for row in range(pairs.rows)
    }
    assert found == wanted


@pytest.mark.parametrize("profile", ["ibrahim2026", "candor"])
def test_the_analysis_is_json_without_holes(profile: str) -> None:
    keys = [(f"q{i}", c, b) for i in range(30) for c in ("none", "emotion:sad") for b in BELIEFS]
    rng = np.random.default_rng(2)
    table = {
        "arm": ["original"] * len(keys) + ["warm"] * len(keys),
        "task": ["triviaqa"] * (2 * len(keys)),
        "item": [key[0] for key in keys] * 2,
        "context": [key[1] for key in keys] * 2,
        "belief": [key[2] for key in keys] * 2,
        "incorrect": (rng.random(2 * len(keys)) < 0.3).astype(int).tolist(),
    }
    found = read([Source(name="t", columns=table)])
    made = analyse(found.replies, contrasts(found.replies, (), ""), profile=profile, sources=[("t", 600)])
    text = analysis_json(made)
    assert "NaN" not in text
    assert len(made.contrasts[0].comparisons) == (profile == "candor")
    assert made.contrasts[0].study.published_arm == "warm_ft"
