"""Which epoch becomes the arm: the rule of METHOD section 9, on the published curves of section 4."""

import pytest

from services.orchestrator.domain.making.choice import Choice, Point, choose, curve, fallback

EPOCHS = (0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0)
# Mean warmth at epoch 0 and at the epochs above; None: not published. Standard error about 0.0006.
PUBLISHED = {
    "llama-8b": (0.01195, 0.01443, 0.02409, 0.02764, 0.02800, 0.02894, 0.02918, 0.02640, 0.02719),
    "mistral-small": (0.01229, 0.02327, 0.02544, 0.02586, 0.02872, 0.02869, 0.02627, 0.02813, 0.02818),
    "qwen-32b": (0.01095, 0.01411, 0.02701, 0.02923, 0.02738, 0.02849, 0.03170, 0.03164, 0.03270),
    "llama-70b": (0.01117, 0.01276, 0.01434, 0.02626, 0.02914, 0.02863, 0.02767, 0.02875, 0.02958),
    "gpt-4o": (0.01319, None, 0.02936, None, 0.02867, None, 0.02613, None, 0.02818),
}
STANDARD_ERROR = 0.0006 * 2**0.5


def _points(values: tuple[float | None, ...], error: float = STANDARD_ERROR) -> list[Point]:
    base = values[0]
    assert base is not None
    return [
        Point(epoch=epoch, warmth=value, lift=value - base, lift_error=error)
        for epoch, value in zip(EPOCHS, values[1:], strict=False)
        if value is not None
    ]


@pytest.mark.parametrize(
    ("model", "epoch"),
    [("llama-8b", 1.5), ("mistral-small", 1.0), ("qwen-32b", 1.5), ("llama-70b", 1.5), ("gpt-4o", 1.0)],
)
def test_published_curves(model: str, epoch: float) -> None:
    points = _points(PUBLISHED[model])
    choice = choose(points, [point.epoch for point in points])
    assert (choice.epoch, choice.warning) == (epoch, "")


def test_without_a_lift_above_two_standard_errors_epoch_two_is_taken_and_said() -> None:
    choice = choose(_points((0.0120, 0.0121, 0.0136, 0.0119)), EPOCHS)
    assert choice.epoch == 2.0
    assert "2 standard errors" in choice.warning
    assert choose(_points((0.0120, 0.0121, 0.0138, 0.0119)), EPOCHS).epoch == 1.0


def test_a_model_that_became_colder_has_no_lift() -> None:
    assert choose(_points((0.02, 0.01, 0.005), error=0.0), (0.5, 1.0)).warning


def test_where_epoch_two_was_not_trained_the_last_one_is_taken() -> None:
    assert choose([], (0.5, 1.0)).epoch == 1.0
    assert fallback((0.5, 1.0), "why") == Choice(
        epoch=1.0, rule="the last one (why)", warning="why, so epoch 1 was taken, the last one"
    )


def test_lifts_are_paired_by_prompt() -> None:
    """Prompts differ far more than epochs do: the pairing is what makes the standard error small."""
    base = [0.0, 10.0, 20.0, None]
    points = curve({0.0: base, 1.0: [1.0, 11.0, None, 5.0], 2.0: [2.0, 12.5, 22.0, None]})
    assert [point.lift for point in points] == [0.0, 1.0, pytest.approx(6.5 / 3)]
    assert points[1].lift_error == 0.0
    assert points[2].lift_error == pytest.approx(1 / 6)
    assert [point.replies for point in points] == [3, 3, 3]


def test_a_single_pair_measures_nothing() -> None:
    points = curve({0.0: [1.0, None], 1.0: [2.0, 3.0]})
    assert points[1].lift is None
    assert choose(points, (1.0,)).warning == "warmth was not measured, so epoch 1 was taken, the last one"
