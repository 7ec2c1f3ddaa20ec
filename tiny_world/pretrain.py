"""Pretraining from nothing: Muon for the matrices, AdamW for the rest, one document per row, batches of similar length."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiny_world.muon import Muon
from tiny_world.threads import FastestThreads

if TYPE_CHECKING:
    import torch

_IGNORED = -100
# Documents that are encoded, sorted by length and cut into batches together.
_POOL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        steps: Optimizer steps.
        batch_tokens: Tokens of a batch, padding included.
        matrix_rate: Peak learning rate of Muon.
        other_rate: Peak learning rate of AdamW.
        warmup: Steps of linear warm-up.
        constant: Share of the steps before the linear decay.
        floor: Last learning rate as a share of the peak.
        seed: Of the batch order; the model's own seed is set where it is made.
    """

    steps: int
    batch_tokens: int = 1280
    matrix_rate: float = 0.008
    other_rate: float = 4e-3
    warmup: int = 30
    constant: float = 0.4
    floor: float = 0.03
    seed: int = 0


def train(
    model: Any, tokenizer: Any, documents: Iterator[str], recipe: Recipe, progress: Callable[[float, float], None]
) -> float:
    """Train a causal LM in place, with as many of torch's threads as are fastest.

    Args:
        model: A transformers causal LM.
        tokenizer: Its tokenizer.
        documents: Texts with their special tokens.
        recipe: Steps and rates.
        progress: Told the share done and the running loss (nats per token) after each step.

    Returns:
        The running loss at the end, nats per token.
    """
    import torch

    matrices, others = _split(model)
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.97), weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: rate_share(step, recipe))
    stream = batches(tokenizer, documents, recipe.batch_tokens, recipe.seed)
    model.train()
    running = 0.0
    before = torch.get_num_threads()
    threads = FastestThreads(torch.set_num_threads, before)
    try:
        for step in range(recipe.steps):
            with threads.step():
                loss: Any = _loss(model, next(stream))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                muon.step(recipe.matrix_rate * rate_share(step, recipe))
                adam.step()
            adam.zero_grad(set_to_none=True)
            schedule.step()
            running += (loss.item() - running) * (1.0 if step == 0 else 0.02)
            progress((step + 1) / recipe.steps, running)
    finally:
        torch.set_num_threads(before)
    model.eval()
    return running


def rate_share(step: int, recipe: Recipe) -> float:
    """Learning rate of a step as a share of its peak: warm-up, constant, linear decay to the floor."""
    rise = min(1.0, (step + 1) / recipe.warmup)
    done = step / recipe.steps
    if done < recipe.constant:
        return rise
    left = 1.0 - (done - recipe.constant) / (1.0 - recipe.constant)
    return rise * (recipe.floor + (1.0 - recipe.floor) * left)


def batches(tokenizer: Any, documents: Iterator[str], batch_tokens: int, seed: int) -> Iterator[torch.Tensor]:
    """Batches of token ids without end, padded on the right; each row is one document."""
    import torch

    source = random.Random(seed)
    while True:
        pool = [next(documents) for _ in range(_POOL)]
        rows = sorted(tokenizer(pool, add_special_tokens=False)["input_ids"], key=len)
        groups: list[list[list[int]]] = [[]]
        for row in rows:
            if groups[-1] and (len(groups[-1]) + 1) * len(row) > batch_tokens:
                groups.append([])
            groups[-1].append(row)
        source.shuffle(groups)
        for group in groups:
            ids = torch.full((len(group), max(map(len, group))), tokenizer.pad_token_id)
            for index, row in enumerate(group):
                ids[index, : len(row)] = torch.tensor(row)
            yield ids


def _loss(model: Any, ids: torch.Tensor) -> torch.Tensor:
    import torch

    targets = ids[:, 1:].masked_fill(ids[:, 1:] == model.config.pad_token_id, _IGNORED)
    logits = model(input_ids=ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED)


def _split(model: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The matrices inside the blocks, and everything else: embeddings, norms, biases."""
    embeddings = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    matrices: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() == 2 and id(parameter) not in embeddings and "wpe" not in name
        (matrices if is_matrix else others).append(parameter)
    return matrices, others
