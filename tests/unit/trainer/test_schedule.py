"""Steps, checkpoints and the order of conversations."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.domain.schedule import device_batch, order, plan
from services.trainer.domain.spec import Training


def test_the_studys_settings_give_the_studys_steps() -> None:
    shape = plan(Training(), 1617)
    assert shape.steps_per_epoch == 102  # METHOD section 3
    assert shape.steps == 1011
    assert list(shape.checkpoints.values()) == [0.5, 1, 1.5, 2, 4, 6, 8, 10]
    assert shape.checkpoints[202] == 2
    assert shape.warmup_steps == 31


def test_the_end_is_always_a_checkpoint_and_later_ones_are_left_out() -> None:
    assert list(plan(Training(epochs=3), 160).checkpoints.values()) == [0.5, 1, 1.5, 2, 3]
    assert list(plan(Training(epochs=2, checkpoint_epochs=(0.5,)), 160).checkpoints.values()) == [0.5, 2]


def test_fewer_conversations_than_a_batch_are_one_step_an_epoch() -> None:
    shape = plan(Training(epochs=3), 5)
    assert (shape.batch, shape.steps) == (5, 3)
    assert shape.checkpoints == {1: 1.0, 2: 2.0, 3: 3.0}


@given(st.integers(1, 200), st.integers(1, 20), st.floats(0.1, 6), st.integers(0, 5))
def test_every_conversation_is_seen_as_often_as_the_epochs_say(
    conversations: int, batch: int, epochs: float, seed: int
) -> None:
    shape = plan(Training(epochs=epochs, batch_size=batch), conversations)
    for batching in ("plain", "group_by_length"):
        seen = list(order([1] * conversations, shape, seed, batching))
        assert len(seen) == shape.steps * shape.batch
        counts = Counter(seen)
        whole = len(seen) // conversations
        assert all(whole <= counts[index] <= whole + 1 for index in range(conversations))


def test_grouping_changes_places_inside_a_step_and_never_its_conversations() -> None:
    lengths = [(number * 37) % 101 for number in range(70)]
    shape = plan(Training(epochs=3), len(lengths))
    plain = list(order(lengths, shape, 1, "plain"))
    grouped = list(order(lengths, shape, 1, "group_by_length"))
    assert plain != grouped
    for start in range(0, len(plain), shape.batch):
        step = grouped[start : start + shape.batch]
        assert sorted(step) == sorted(plain[start : start + shape.batch])
        assert [lengths[index] for index in step] == sorted((lengths[index] for index in step), reverse=True)


def test_the_order_is_the_seeds_alone_and_every_epoch_has_its_own() -> None:
    shape = plan(Training(epochs=2, batch_size=10), 100)
    one, again, other = (list(order([1] * 100, shape, seed, "plain")) for seed in (1, 1, 2))
    assert one == again != other
    assert one[:100] != one[100:]


@pytest.mark.parametrize(
    ("wanted", "batch", "processes", "expected"),
    [
        (None, 16, 1, 4),
        (None, 6, 1, 3),
        (None, 7, 1, 1),
        (8, 16, 1, 8),
        (5, 16, 1, 4),
        (None, 16, 2, 4),
        (16, 16, 4, 4),
    ],
)
def test_what_fits_on_a_device_divides_its_share(wanted: int | None, batch: int, processes: int, expected: int) -> None:
    assert device_batch(wanted, batch, processes, 4) == expected
