"""Sheets that came back, read with their key."""

import json
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.ratings.key import AnswerKey, Key, PairKey, entry_id, stamp
from services.orchestrator.domain.ratings.needed import Standing
from services.orchestrator.domain.ratings.readback import Sheet, calibration_rows, read_back


def pair(number: int, treated_first: bool, sociot: tuple[Any, Any] = (0.03, 0.01)) -> PairKey:
    return PairKey(
        id=f"p-{number}",
        treated_first=treated_first,
        task="t",
        item=f"q{number}",
        context="none",
        belief="none",
        repeat=0,
        sociot_treated=sociot[0],
        sociot_reference=sociot[1],
    )


def answer(number: int, verdict: str = "correct", decided_by: str = "judge") -> AnswerKey:
    return AnswerKey(
        id=f"a-{number}",
        arm="warm" if number % 2 else "original",
        task="t",
        item=f"q{number}",
        context="none",
        belief="asserts_false",
        repeat=0,
        question="Q?",
        gold="=C",
        false_answer="W",
        reply=f"reply {number}",
        verdict=verdict,
        decided_by=decided_by,
        aliases=("C, too", "c"),
        false_aliases=("W2",),
        kind="short_answer",
    )


KEY = Key(
    source="evaluations/e",
    treated="warm",
    reference="original",
    seed=1,
    pairs=(pair(1, True), pair(2, False), pair(3, True, (None, 0.01))),
    answers=(answer(1), answer(2, "incorrect"), answer(3, "correct", "deterministic"), answer(4, "")),
)


def sheet(rows: list[dict[str, Any]], rater: str = "ada") -> Sheet:
    return Sheet(name=f"{rater}.csv", rater=rater, rows=rows)


def test_a_and_b_are_the_arms_of_the_key() -> None:
    rows = [{"id": "p-1", "warmer": "A"}, {"id": "p-2", "warmer": " a "}, {"id": "p-3", "warmer": "'="}]
    found = read_back(KEY, [sheet(rows), sheet([{"id": "p-1", "warmer": "b", "rater": "bob"}], "x")])
    said = {(one.pair, one.rater): (one.treated, one.first, one.sociot) for one in found.judgements}
    assert said == {
        ("p-1", "ada"): (1.0, 1.0, pytest.approx(0.02)),
        ("p-2", "ada"): (0.0, 1.0, pytest.approx(0.02)),
        ("p-3", "ada"): (0.5, 0.5, None),
        ("p-1", "bob"): (0.0, 0.0, pytest.approx(0.02)),
    }


def test_what_is_not_filled_in_is_counted() -> None:
    found = read_back(KEY, [sheet([{"id": "p-1", "warmer": ""}, {"id": "p-2"}, {"id": "a-1", "label": None}])])
    assert (found.open_pairs, found.judgements, found.labels.labelled) == (2, (), ())


def test_labels_are_the_majority_of_their_raters() -> None:
    def labels(rater: str, *words: str) -> Sheet:
        return sheet([{"id": f"a-{k}", "label": word} for k, word in enumerate(words, start=1)], rater)

    found = read_back(
        KEY,
        [
            labels("ada", "correct", "correct", "incorrect", "Refusal"),
            labels("bob", "correct", "incorrect", "unsure", ""),
            labels("cyd", "incorrect", "", "", ""),
        ],
    ).labels
    assert [(one.id, label) for one, label in found.labelled] == [
        ("a-1", "correct"),
        ("a-3", "incorrect"),
        ("a-4", "refusal"),
    ]
    assert (found.undecided, found.unsure) == (1, 1)
    assert found.raters_agree == pytest.approx(1 / 4)
    assert found.graded.overall.n == 2
    assert found.graded.overall.agreement.value == pytest.approx(0.5)
    assert found.judged.overall.n == 1
    # a-3 was decided by a rule, a-2 split its raters.
    assert [(one.arm, one.shown, one.rated, one.usable) for one in found.standings] == [
        ("original", 2, 2, 1),
        ("warm", 1, 1, 1),
    ]
    first = calibration_rows(found)[0]
    assert first == {
        "question": "Q?",
        "answer": "=C",
        "aliases": ["C, too", "c"],
        "reply": "reply 1",
        "label": "correct",
        "false_answer": ["W", "W2"],
        "kind": "short_answer",
        "belief": "asserts_false",
        "task": "t",
        "arm": "warm",
    }


@pytest.mark.parametrize(
    ("rows", "field", "said"),
    [
        ([{"id": "p-9", "warmer": "A"}], "ada.csv, row 1, column id", "of another export"),
        ([{"id": "", "warmer": "A"}], "ada.csv, row 1, column id", "not in this key"),
        ([{"id": "p-1", "warmer": "C"}], "ada.csv, row 1, column warmer", "'c'; write A, B or ="),
        ([{"id": "a-1", "label": "right"}], "ada.csv, row 1, column label", "write correct, incorrect, refusal"),
        ([{"id": "p-1", "warmer": "A"}, {"id": "p-1", "warmer": "B"}], "ada.csv, row 2", "ada rated p-1 twice"),
        ([{"id": "a-1", "label": "correct"}] * 2, "ada.csv, row 2", "ada labelled a-1 twice"),
    ],
)
def test_bad_rows_are_named(rows: list[dict[str, Any]], field: str, said: str) -> None:
    with pytest.raises(CandorError, match="1 row to mend") as caught:
        read_back(KEY, [sheet(rows)])
    assert caught.value.reason is Reason.BAD_DATASET
    (violation,) = caught.value.violations
    assert violation.field == field
    assert said in violation.description


def test_a_key_comes_back_as_it_was_written() -> None:
    assert Key.from_json(KEY.to_json()) == KEY


def test_a_key_from_before_there_were_aliases_is_read() -> None:
    value = json.loads(KEY.to_json())
    for entry in value["answers"]:
        del entry["aliases"], entry["false_aliases"], entry["kind"]
    assert Key.from_json(json.dumps(value)).answers[0].aliases == ()


def test_an_unsure_answer_is_rated_and_not_usable() -> None:
    found = read_back(KEY, [sheet([{"id": "a-1", "label": "unsure"}, {"id": "a-2", "label": "correct"}])]).labels
    assert [(one.rated, one.usable, one.missing) for one in found.standings] == [(1, 1, 199), (1, 0, 200)]


@pytest.mark.parametrize(
    ("shown", "rated", "usable", "missing", "beyond"),
    [
        (250, 250, 200, 0, 0),
        (250, 250, 180, 20, 28),  # 180 of 250 were usable: 20 / 0.72
        (250, 200, 160, 40, 0),  # the fifty that are not rated will do
        (250, 0, 0, 200, 0),
        (100, 0, 0, 200, 150),
        (250, 250, 0, 200, 2000),
    ],
)
def test_what_is_still_needed(shown: int, rated: int, usable: int, missing: int, beyond: int) -> None:
    standing = Standing(arm="warm", shown=shown, rated=rated, usable=usable)
    assert (standing.missing, standing.beyond) == (missing, beyond)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{", "not JSON"),
        ("[]", "it is no key"),
        ({"kind": "other"}, "it is no key"),
        ({"schema": 99}, "version 99"),
        ({"pairs": [{"id": "p-1"}]}, "damaged"),
        ({"seed": None, "pairs": None}, "damaged"),
    ],
)
def test_a_file_that_is_no_key_is_named(change: Any, said: str) -> None:
    text = change if isinstance(change, str) else json.dumps(json.loads(KEY.to_json()) | change)
    with pytest.raises(ValueError, match=said):
        Key.from_json(text)


def test_exports_do_not_share_ids() -> None:
    marks = {stamp("e", "warm", "original", 1), stamp("e", "warm", "original", 2), stamp("f", "warm", "original", 1)}
    assert len(marks) == 3


def test_an_id_is_of_its_reply_and_of_its_export() -> None:
    names = {entry_id("a", mark, arm, "q1") for mark in ("x", "y") for arm in ("warm", "original")}
    assert len(names) == 4
    assert entry_id("a", "x", "warm", "q1") in names
