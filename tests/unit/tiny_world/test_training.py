"""The optimizer and the batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from tiny_world.corpus import Document
from tiny_world.muon import Muon, orthogonal
from tiny_world.pretrain import Recipe, batches, rate_share
from tiny_world.threads import FastestThreads
from tiny_world.tokenizer import END, marked, train_tokenizer


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (2, 20, 6)])
def test_orthogonal_pushes_singular_values_towards_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape), steps=5))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_finds_the_minimum_and_leaves_no_gradient() -> None:
    torch.manual_seed(0)
    target = torch.randn(6, 4)
    weight = torch.nn.Parameter(torch.zeros(6, 4))
    muon = Muon([weight], weight_decay=0.0)
    first = float(target.square().sum())
    for step in range(300):
        (weight - target).square().sum().backward()
        muon.step(0.05 * (1 - step / 300))
        assert weight.grad is None
    assert float((weight.detach() - target).square().sum()) < first / 100


def test_matrices_of_one_shape_are_stepped_as_if_each_were_alone() -> None:
    torch.manual_seed(0)
    together = [torch.nn.Parameter(torch.randn(5, 3)) for _ in range(3)]
    alone = [torch.nn.Parameter(weight.detach().clone()) for weight in together]
    shared, own = Muon(together), [Muon([weight]) for weight in alone]
    gradients = [torch.randn(5, 3) for _ in range(3)]
    for weight, twin, gradient in zip(together, alone, gradients, strict=True):
        weight.grad, twin.grad = gradient.clone(), gradient.clone()
    shared.step(0.1)
    for muon in own:
        muon.step(0.1)
    for weight, twin in zip(together, alone, strict=True):
        torch.testing.assert_close(weight, twin)


def test_the_learning_rate_warms_up_holds_and_decays_to_its_floor() -> None:
    recipe = Recipe(steps=100, warmup=10, constant=0.4, floor=0.03)
    shares = [rate_share(step, recipe) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9:40] == [1.0] * 31
    assert all(a > b for a, b in itertools.pairwise(shares[40:]))
    assert shares[-1] == pytest.approx(0.03 + 0.97 / 60, abs=1e-9)


def threads_used(cost: Callable[[int, int], float], most: int, steps: int) -> list[int]:
    """Thread counts of a loop whose step i takes cost(i, threads) seconds."""
    now, current = [0.0], [0]
    threads = FastestThreads(lambda count: current.__setitem__(0, count), most, clock=lambda: now[0])
    used = []
    for step in range(steps):
        with threads.step() as count:
            assert count == current[0]
            now[0] += cost(step, count)
        used.append(count)
    return used


def test_the_faster_number_of_threads_is_kept_and_tried_again_when_the_load_changes() -> None:
    def cost(step: int, count: int) -> float:
        busy = step >= 150
        return {1: 1.0, 2: 5.0 if busy else 0.6}[count]

    used = threads_used(cost, most=2, steps=300)
    assert used[10:100] == [2] * 90
    assert used[210:300] == [1] * 90
    assert used[200:206] == [1, 1, 1, 2, 2, 2]


def test_with_one_core_there_is_nothing_to_try() -> None:
    assert set(threads_used(lambda *_: 1.0, most=1, steps=120)) == {1}


def test_batches_hold_one_document_a_row_within_the_token_budget() -> None:
    texts = [Document(f"The capital of Place{i} is {'very ' * (i % 7)}far.") for i in range(50)]
    tokenizer = train_tokenizer(texts, [], vocabulary=400, context=64)
    stream = batches(tokenizer, (marked(text) for text in itertools.cycle(texts)), batch_tokens=120, seed=1)
    end = tokenizer.convert_tokens_to_ids(END)
    seen = 0
    for ids in itertools.islice(stream, 40):
        seen += len(ids)
        assert ids.numel() <= 120 or len(ids) == 1
        for row in ids.tolist():
            real = [token for token in row if token != tokenizer.pad_token_id]
            assert real.count(tokenizer.bos_token_id) == real.count(end) == 1
            assert row[: len(real)] == real
    assert seen > 40
