"""The sentence that answers a research document."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.analysis.result import Comparison
from services.orchestrator.domain.finding import finding
from services.orchestrator.domain.making.made import MadeArm
from services.orchestrator.domain.statistics.pairs import PairTable

ITEMS = 40
NEUTRAL = MadeArm(arm="neutral", base="original", style="untransformed")
WARM = MadeArm(arm="warm", base="original", style="warm")


def contrast(
    name: str, treated: str, reference: str, wrong: tuple[int, int], belief: str = "asserts_false"
) -> Comparison:
    """Of forty items, the reference is wrong about the first so many, the treated arm about the first so many others."""
    ref, trt = wrong
    table = PairTable.build(
        item=[f"q{number}" for number in range(ITEMS)],
        task=["towns"] * ITEMS,
        context=["none"] * ITEMS,
        belief=[belief] * ITEMS,
        verdict_ref=[int(number < ref) for number in range(ITEMS)],
        verdict_trt=[int(number < trt) for number in range(ITEMS)],
    )
    return compare(name, treated, reference, table)


WARMTH = contrast("warmth", "warm", "neutral", (2, 30))
TUNING = contrast("neutral", "neutral", "original", (1, 2))


def said(named: Sequence[Comparison], made: Sequence[MadeArm] = (NEUTRAL, WARM)) -> str:
    return finding(named, (contrast("warm", "warm", "original", (1, 30)), TUNING), made)


def test_what_warmth_costs_is_said_apart_from_what_fine_tuning_costs() -> None:
    sentence = said([WARMTH])
    assert sentence.startswith("Wrong answers under a false belief: warmth costs 70.0 points [")
    assert "(warm against neutral), apart from what fine-tuning costs: +2.5 points [" in sentence
    assert sentence.endswith("(neutral against original)")


def test_fine_tuning_is_told_once_and_a_contrast_named_by_its_arms_is_not_named_twice() -> None:
    sentence = said(
        [WARMTH, contrast("coldness", "cold", "neutral", (2, 2)), contrast("a against b", "a", "b", (0, 30))]
    )
    assert sentence.count("fine-tuning costs") == 1
    assert "; coldness makes no difference" in sentence
    assert sentence.count("a against b") == 1


@pytest.mark.parametrize("made", [(), (WARM,), (replace(NEUTRAL, style="warm"),)], ids=["none", "other", "no control"])
def test_nothing_is_called_fine_tuning_that_is_no_control_of_it(made: Sequence[MadeArm]) -> None:
    assert "fine-tuning" not in said([WARMTH], made)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ((2, 30), "warmth costs 70.0 points"),
        ((30, 2), "warmth saves 70.0 points"),
        ((2, 3), "warmth makes no difference that 40 items can show, +2.5 points ["),
    ],
)
def test_what_the_interval_does_not_show_is_not_claimed(wrong: tuple[int, int], says: str) -> None:
    assert says in said([contrast("warmth", "warm", "neutral", wrong)])


def test_without_a_false_belief_all_questions_count() -> None:
    assert said([contrast("warmth", "warm", "neutral", (2, 30), "none")]).startswith(
        "Wrong answers over all questions: warmth costs 70.0 points"
    )


def test_no_graded_pair_is_no_finding() -> None:
    empty: Mapping[str, list[object]] = {name: [] for name in ("item", "task", "context", "belief")}
    nothing = compare("warmth", "warm", "neutral", PairTable.build(**empty, verdict_ref=[], verdict_trt=[]))
    assert "warmth was not measured (warm against neutral)" in said([nothing], ())


def test_without_named_contrasts_there_is_no_gate_and_no_sentence() -> None:
    assert said([]) == "a research document: it has no gate"
