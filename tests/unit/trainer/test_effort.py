"""Work by arithmetic, and time from steps that were timed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.trainer.domain.effort import Effort, Layout, effort, flops_per_token, padded, seconds
from services.trainer.domain.memory import Shape
from services.trainer.domain.schedule import plan
from services.trainer.domain.spec import Lora, Training

# 7B, as Llama 2 has it.
SHAPE = Shape(parameters=6_738_415_616, hidden=4096, layers=32, feed_forward=11008, vocabulary=32000)
LAYOUT = Layout(shape=SHAPE, gpu=True, precision="bf16", rows=2)
TINY = Layout(shape=Shape(parameters=40_000, hidden=32, layers=2, feed_forward=64, vocabulary=259), rows=2)


def test_lora_without_recomputation_costs_two_forward_passes_and_with_it_three() -> None:
    # Every weight but the embeddings multiplies each token once a pass.
    forward = 2 * (SHAPE.parameters - SHAPE.vocabulary * SHAPE.hidden)
    assert flops_per_token(LAYOUT, Lora(), 32, 1) == pytest.approx(2 * forward, rel=0.01)
    again = flops_per_token(replace(LAYOUT, recompute=True), Lora(), 32, 1)
    assert again == pytest.approx(3 * forward, rel=0.02)


def test_tied_embeddings_are_an_output_layer_all_the_same() -> None:
    tied = replace(SHAPE, parameters=SHAPE.parameters - SHAPE.vocabulary * SHAPE.hidden, tied=True)
    untied = flops_per_token(LAYOUT, Lora(), 32, 100)
    assert flops_per_token(replace(LAYOUT, shape=tied), Lora(), 32, 100) == untied


@pytest.mark.parametrize(("batching", "tokens"), [("plain", 10 + 10 + 8 + 8), ("packing", 10 + 2 + 8 + 1)])
def test_padding_is_counted_as_the_device_has_it(batching: str, tokens: int) -> None:
    assert padded([10, 2, 8, 1], 2, batching) == tokens


def test_every_pass_of_the_data_is_counted_and_grouping_by_length_saves_padding() -> None:
    lengths = [10, 100] * 8
    plain = Training(epochs=3, batch_size=8, batching="plain")
    found = effort(lengths, plan(plain, 16), Lora(), plain, TINY)
    assert 3 * sum(lengths) < found.tokens <= 3 * 16 * 100
    grouped = replace(plain, batching="group_by_length")
    assert effort(lengths, plan(grouped, 16), Lora(), grouped, TINY).tokens < found.tokens
    packed = replace(plain, batching="packing")
    assert effort(lengths, plan(packed, 16), Lora(), packed, TINY).tokens == 3 * sum(lengths)


def test_a_whole_step_is_timed_where_that_is_quick() -> None:
    training = Training(batch_size=8)
    found = effort([50] * 16, plan(training, 16), Lora(), training, TINY)
    assert found.step == (50,) * 8
    assert found.step_tokens == 400
    assert found.depths == (1, 2)


def test_a_part_of_a_step_is_timed_where_a_whole_one_would_take_long() -> None:
    training = Training(batch_size=16)
    slow = replace(LAYOUT, gpu=False, precision="fp32")
    found = effort([1000] * 16, plan(training, 16), Lora(), training, slow)
    assert len(found.step) == 2
    assert 8 <= max(found.step) < 100
    assert found.depths == (1, 4)


def test_what_a_layer_takes_is_the_difference_between_slices() -> None:
    found = Effort(tokens=1000, flops=0.0, step=(10,), step_tokens=10, depths=(1, 4))
    # 0.2 s beside the layers, 0.1 s a layer, 100 steps
    timed = [(1, 0.3), (4, 0.6)]
    assert seconds(found, timed, 32, 1) == pytest.approx(100 * 3.4)
    assert seconds(found, timed, 32, 2) == pytest.approx(50 * 3.4)
    assert seconds(found, timed, 4, 1) == pytest.approx(100 * 0.6)
    assert seconds(found, [(1, 0.3)], 1, 1) == pytest.approx(100 * 0.3)
    # a machine that was busy for the flatter slice makes no layer cheaper than nothing
    assert seconds(found, [(1, 0.7), (4, 0.6)], 32, 1) == pytest.approx(100 * 0.6)
