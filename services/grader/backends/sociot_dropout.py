"""The published code's way to a score: dropout left on, the mean of many passes. A check of the estimator, not its use."""

from __future__ import annotations

import math
from collections.abc import Sequence

from services.grader.backends.sociot_model import SociotModel
from services.grader.domain import sociot
from services.grader.domain.scores import Metric


def score_with_dropout(model: SociotModel, text: str, metric: Metric, passes: int, seed: int) -> tuple[float, float]:
    """The mean of `passes` scores of a text with dropout on, and its standard error; nats per token.

    Args:
        model: A loaded scorer; its mode is put back to eval.
        text: Its first 300 characters count.
        metric: One of `sociot.metrics()`.
        passes: At least 2.
        seed: Of the dropout masks.
    """
    import torch

    kept = sociot.excerpt(text, sociot.DEFAULT_MAX_CHARS)
    model.model.train()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            plus, minus = (_set_values(model, kept, part, passes) for part in sociot.sets(metric))
    finally:
        model.model.eval()
    error = math.sqrt(_variance(plus) / passes + _variance(minus) / passes)
    return math.fsum(plus) / passes - math.fsum(minus) / passes, error


def _set_values(model: SociotModel, text: str, phrases: Sequence[str], passes: int) -> list[float]:
    readings = [model.read(phrase, text) for phrase in phrases]
    ids, mask, _ = model.rectangle([reading.ids for reading in readings])
    return [-model.model(input_ids=ids, attention_mask=mask, labels=ids).loss.item() for _ in range(passes)]


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
