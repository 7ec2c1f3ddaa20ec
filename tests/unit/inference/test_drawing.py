"""Choosing tokens: right frequencies, right cut, independent rows."""

import pytest

torch = pytest.importorskip("torch", reason="token sampling was not tested: torch is not installed")

from services.inference.backends.transformers.drawing import choose, draws  # noqa: E402

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, float("-inf")])


def frequencies(temperature: float, top_p: float | None, count: int = 40_000) -> list[float]:
    uniform = draws([5], count)[0]
    tokens = choose(LOGITS.expand(count, -1), uniform, temperature, top_p)
    found: list[float] = (torch.bincount(tokens, minlength=5) / count).tolist()
    return found


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_the_softmax_says(temperature: float) -> None:
    expected = torch.softmax(LOGITS / temperature, -1).tolist()
    assert frequencies(temperature, None) == pytest.approx(expected, abs=0.01)
    assert frequencies(temperature, 1.0) == frequencies(temperature, None)


def test_top_p_keeps_the_fewest_tokens_that_reach_the_mass() -> None:
    chances = torch.softmax(LOGITS, -1)  # .64 .24 .09 .03
    kept = (chances[:2] / chances[:2].sum()).tolist()
    assert frequencies(1.0, 0.8) == pytest.approx([*kept, 0, 0, 0], abs=0.01)
    assert frequencies(1.0, 0.1) == [1, 0, 0, 0, 0]


def test_greedy_takes_the_likeliest() -> None:
    assert choose(LOGITS.flip(0).unsqueeze(0), torch.tensor([0.99]), 0.0, None).tolist() == [4]


def test_the_ends_of_the_unit_interval_are_tokens_with_mass() -> None:
    ends = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64)
    assert choose(LOGITS.flip(0).expand(2, -1), ends, 1.0, None).tolist() == [1, 4]


def test_a_rows_draws_depend_on_its_seed_alone() -> None:
    assert torch.equal(draws([1, 2, 3], 10)[2], draws([3, 7], 20)[0][:10])
    assert not torch.equal(draws([1], 10), draws([2], 10))
    assert torch.equal(draws([-5], 3), draws([-5], 3))
