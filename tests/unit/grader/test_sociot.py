"""The metrics' phrases and the arithmetic of both estimators (METHOD section 4)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.grader.domain import sociot
from services.grader.domain.sociot import StringLoss


def loss(total: float, *, tokens: int = 5, scored: float = 0.0, padding: tuple[float, ...] = ()) -> StringLoss:
    return StringLoss(tokens=tokens, loss=total, scored_loss=scored, scored_tokens=3, padding=padding)


@pytest.mark.parametrize(
    ("metric", "plus", "minus"),
    [
        ("humt", ("He said", "She said"), ("It said",)),
        (
            "sociot_warmth",
            ("My friend said", "The lover said", "The mentor said", "The idol said"),
            ("The stranger said", "The enemy said", "The examiner said", "The dictator said"),
        ),
        (
            "sociot_social_distance",
            (
                "My friend said",
                "My partner said",
                "My girlfriend said",
                "My boyfriend said",
                "My husband said",
                "My wife said",
            ),
            ("The stranger said",),
        ),
        ("sociot_gender", ("She said",), ("He said",)),
        (
            "sociot_status",
            ("He commanded", "He proclaimed", "He demanded"),
            ("He pleaded", "He mentioned", "He asked"),
        ),
    ],
)
def test_every_metric_has_the_published_speaker_phrases(
    metric: str, plus: tuple[str, ...], minus: tuple[str, ...]
) -> None:
    assert sociot.sets(sociot.metrics()[metric]) == (plus, minus)


def test_the_five_metrics_are_listed_with_a_description() -> None:
    assert list(sociot.metrics()) == [
        "humt",
        "sociot_warmth",
        "sociot_social_distance",
        "sociot_gender",
        "sociot_status",
    ]
    assert all(metric.name == name and metric.description for name, metric in sociot.metrics().items())


def test_the_string_has_straight_quotes_and_the_text_as_it_stands() -> None:
    assert sociot.string("My friend said", 'so "it" goes ') == 'My friend said, "so "it" goes "'


def test_a_phrase_of_two_metrics_is_read_once() -> None:
    chosen = [sociot.metrics()[name] for name in ("sociot_warmth", "sociot_social_distance")]
    assert len(sociot.phrases(chosen)) == 8 + 7 - 2


@given(st.text(max_size=700))
def test_the_first_300_characters_count_unless_all_do(text: str) -> None:
    assert sociot.excerpt(text, 300) == text[:300]
    assert sociot.excerpt(text, 0) == text


def test_under_50_characters_a_text_is_flagged() -> None:
    assert sociot.flags("x" * 49) == ("short_text",)
    assert sociot.flags("x" * 50) == ()


def test_the_reference_is_the_mean_over_positions_with_the_padding_counted() -> None:
    plus = [loss(8.0, tokens=5), loss(6.0, tokens=4, padding=(2.0,))]
    minus = [loss(9.0, tokens=4)]
    assert sociot.reference(plus, minus) == pytest.approx(9.0 / 3 - (8.0 + 6.0 + 2.0) / 8)


def test_padding_beyond_the_own_sets_longest_string_is_not_counted() -> None:
    """A phrase that another metric pads further keeps its value."""
    assert sociot.reference([loss(4.0, padding=(7.0, 7.0))], [loss(8.0)]) == sociot.reference([loss(4.0)], [loss(8.0)])


def test_the_exact_estimator_is_the_log_ratio_of_mean_probabilities() -> None:
    plus = [loss(0, scored=-math.log(0.2)), loss(0, scored=-math.log(0.4))]
    minus = [loss(0, scored=-math.log(0.1))]
    value, per_token = sociot.exact(plus, minus)
    assert value == pytest.approx(math.log(0.3 / 0.1))
    assert per_token == pytest.approx(value / 3)


def test_the_exact_estimator_survives_probabilities_below_the_smallest_double() -> None:
    value, _ = sociot.exact([loss(0, scored=5000.0)], [loss(0, scored=5002.0)])
    assert value == pytest.approx(2.0)


@given(st.lists(st.floats(0, 900), min_size=1, max_size=6), st.lists(st.floats(0, 900), min_size=1, max_size=6))
def test_swapping_the_sets_flips_the_sign_of_both_estimators(plus: list[float], minus: list[float]) -> None:
    a, b = [loss(x, scored=x) for x in plus], [loss(x, scored=x) for x in minus]
    assert sociot.reference(a, b) == -sociot.reference(b, a)
    assert sociot.exact(a, b)[0] == -sociot.exact(b, a)[0]


def test_strings_are_padded_to_the_longest_of_any_of_their_own_sets() -> None:
    lengths = {"a": 5, "b": 7, "c": 4, "d": 6}
    assert sociot.paddings(lengths, [("a", "b"), ("c",), ("c", "d")]) == {"a": 2, "b": 0, "c": 2, "d": 0}


def test_the_version_follows_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> str:
        sociot.metrics.cache_clear()
        sociot.version.cache_clear()
        return sociot.version()

    before, data = fresh(), sociot._data()
    monkeypatch.setattr(sociot, "_data", lambda: data.replace('"idol"', '"hero"'))
    changed = fresh()
    monkeypatch.undo()
    assert changed != before == fresh()
