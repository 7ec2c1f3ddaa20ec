"""When an adapter counts as alive."""

import random
from collections.abc import Callable

import pytest

from services.inference.domain.liveness import PROBES, QUESTIONS, ROUNDS, Logprobs, judge, judge_texts

BASE = [[-1.0, -2.0], [-3.0]]
TOKENS = 12


def passes(noise: Callable[[], float], moved: float = 0.0) -> list[Logprobs]:
    """Three passes over four probes; `moved` goes up and down from token to token."""
    return [
        [[-2.0 + moved * (-1) ** place + noise() for place in range(TOKENS)] for _ in PROBES] for _ in range(ROUNDS)
    ]


def test_more_than_the_noise_of_the_engine_is_alive() -> None:
    adapter = [[[-1.0, -2.0], [-3.5]], [[-1.0, -2.0], [-3.6]]]
    found = judge([BASE, [[-1.0, -2.01], [-3.0]]], adapter)
    assert found.alive
    assert (round(found.difference, 6), round(found.floor, 6), found.probes, found.reason) == (0.5, 0.1, 2, "")


@pytest.mark.parametrize("scale", [1e-7, 1e-3, 0.3])
@pytest.mark.parametrize("kind", ["of tokens", "of passes"])
def test_a_dead_adapter_on_a_noisy_engine_is_found_dead(scale: float, kind: str) -> None:
    rng = random.Random(f"{scale} {kind}")

    def noisy() -> list[Logprobs]:
        if kind == "of tokens":
            return passes(lambda: rng.gauss(0, scale))
        shifts = [rng.gauss(0, scale) for _ in range(ROUNDS)]
        return [[[-2.0 + shift] * TOKENS for _ in PROBES] for shift in shifts]

    alive = sum(judge(noisy(), noisy()).alive for _ in range(500))
    assert alive / 500 <= 0.01


def test_a_living_adapter_on_a_noisy_engine_is_found_alive() -> None:
    rng = random.Random(1)
    found = [judge(passes(lambda: rng.gauss(0, 0.01)), passes(lambda: rng.gauss(0, 0.01), 0.1)) for _ in range(200)]
    assert all(one.alive for one in found)


def test_rounding_alone_is_no_life() -> None:
    assert not judge([BASE] * 3, [BASE] * 3).alive
    assert not judge([BASE] * 3, [[[-1.0, -2.000001], [-3.0]]] * 3).alive


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("when", [0, 1, 2])
def test_numbers_that_are_not_finite_are_no_life_and_say_so(value: float, when: int) -> None:
    broken: list[Logprobs] = [[[-9.0, -9.0], [-9.0]] for _ in range(3)]
    broken[when] = [[-9.0, value], [-9.0]]
    found = judge([BASE] * 3, broken)
    assert not found.alive
    assert "adapter" in found.reason
    assert "not finite" in found.reason
    assert "base" in judge(broken, [BASE] * 3).reason


def test_probes_are_short_conversations_that_end_in_a_reply() -> None:
    assert all([role for role, _ in probe] == ["user", "assistant"] for probe in PROBES)
    assert all(sum(len(text) for _, text in probe) < 80 for probe in PROBES)


TEXTS = ["one", "two", "three", "four"]


def said(*texts: str | None, times: int = 3) -> list[list[str | None]]:
    return [list(texts)] * times


def test_one_reply_in_other_words_is_life() -> None:
    found = judge_texts(said(*TEXTS), said("one", "two", "drei", "four"))
    assert (found.alive, found.difference, found.floor, found.probes) == (True, 0.25, 0.0, 4)
    assert found.measure == "greedy_text"


def test_the_words_of_the_base_are_no_life() -> None:
    assert not judge_texts(said(*TEXTS), said(*TEXTS)).alive


def test_words_that_one_model_does_not_repeat_are_no_life() -> None:
    found = judge_texts([TEXTS, ["eins", *TEXTS[1:]]], said("uno", *TEXTS[1:]))
    assert (found.alive, found.difference, found.floor) == (False, 0.25, 0.25)


@pytest.mark.parametrize("steady", [0.9, 0.6])
def test_a_dead_fine_tune_whose_endpoint_does_not_repeat_itself_is_found_dead(steady: float) -> None:
    rng = random.Random(steady)

    def asked() -> list[list[str | None]]:
        return [["alike" if rng.random() < steady else f"{rng.random()}" for _ in QUESTIONS] for _ in range(ROUNDS)]

    found = [judge_texts(asked(), asked()) for _ in range(500)]
    told = [one for one in found if one.floor < 2 / 3]
    assert sum(one.alive for one in told) / 500 <= 0.01


def test_a_living_fine_tune_whose_endpoint_does_not_always_repeat_itself_is_found_alive() -> None:
    rng = random.Random(1)

    def asked(word: str) -> list[list[str | None]]:
        return [[word if rng.random() < 0.9 else f"{rng.random()}" for _ in QUESTIONS] for _ in range(ROUNDS)]

    assert sum(judge_texts(asked("cold"), asked("warm")).alive for _ in range(500)) / 500 >= 0.99


def test_models_that_hardly_repeat_themselves_prove_nothing() -> None:
    found = judge_texts([TEXTS, ["a", "b", "c", "four"]], said(*TEXTS))
    assert (found.alive, found.floor) == (True, 0.75)


def test_calls_that_failed_are_left_out() -> None:
    found = judge_texts([TEXTS, [None, *TEXTS[1:]]], said(*TEXTS))
    assert (found.alive, found.floor, found.probes) == (False, 0.0, 3)
    assert judge_texts(said(None), said(None)).alive, "nothing was shown"
