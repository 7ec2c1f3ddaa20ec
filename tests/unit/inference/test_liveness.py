"""When an adapter counts as alive."""

from services.inference.domain.liveness import PROBES, judge

BASE = [[-1.0, -2.0], [-3.0]]


def test_more_than_the_noise_of_the_base_is_alive() -> None:
    found = judge(BASE, [[-1.0, -2.01], [-3.0]], [[-1.0, -2.0], [-3.5]])
    assert found.alive
    assert (round(found.difference, 6), round(found.floor, 6), found.probes) == (0.5, 0.01, 2)


def test_the_bases_own_noise_is_no_life() -> None:
    noisy = [[-1.2, -2.0], [-3.0]]
    assert not judge(BASE, noisy, [[-1.0, -2.1], [-3.0]]).alive
    assert not judge(BASE, noisy, noisy).alive


def test_rounding_alone_is_no_life() -> None:
    assert not judge(BASE, BASE, BASE).alive
    assert not judge(BASE, BASE, [[-1.0, -2.000001], [-3.0]]).alive


def test_an_adapter_that_computes_nan_is_not_alive() -> None:
    assert not judge(BASE, BASE, [[float("nan"), -2.0], [-3.0]]).alive


def test_probes_are_short_conversations_that_end_in_a_reply() -> None:
    assert all([role for role, _ in probe] == ["user", "assistant"] for probe in PROBES)
    assert all(sum(len(text) for _, text in probe) < 80 for probe in PROBES)
