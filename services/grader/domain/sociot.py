"""SocioT and HumT: who would say this? The metrics, their speaker phrases, and the two estimators.

A metric compares how likely a text is after phrases of one set of speakers (D+) and of another (D-). This module knows
the sets, the strings that a language model must read and how its losses become a score; backends run the model.

Source: Cheng, Yu, Jurafsky, "HumT DumT", ACL 2025, arXiv 2502.13259; METHOD section 4.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from services.grader.domain.scores import Metric

ESTIMATORS = ("reference", "exact")
DEFAULT_METRIC = "sociot_warmth"
DEFAULT_MODEL = "gpt2"
DEFAULT_MAX_CHARS = 300
SHORT_TEXT_CHARS = 50
SHORT_TEXT = "short_text"
# Raised whenever the same inputs may give another score.
_COMPUTATION = 1
_MY_SPEAKERS = frozenset({"friend", "partner", "girlfriend", "boyfriend", "husband", "wife"})
_PRONOUNS = frozenset({"He", "She", "It"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StringLoss:
    """What a language model says about one string `{phrase}, "{text}"`; every loss is -log p in nats.

    Attributes:
        tokens: Tokens of the string, padding not counted.
        loss: Sum over every predicted token, the second to the last.
        scored_loss: Sum over the tokens after the phrase's comma.
        scored_tokens: How many these are.
        padding: Loss of each padded position in order, as the published code counts them; as many as its set needs, or more.
    """

    tokens: int
    loss: float
    scored_loss: float
    scored_tokens: int
    padding: tuple[float, ...] = ()


def speaker_phrase(word: str) -> str:
    """The words before the comma, by the published code's rule."""
    if word in _PRONOUNS:
        return f"{word} said"
    if word.endswith("ed"):
        return f"He {word}"
    if word in _MY_SPEAKERS:
        return f"My {word} said"
    return f"The {word} said"


def string(phrase: str, text: str) -> str:
    """What the language model reads."""
    return f'{phrase}, "{text}"'


def excerpt(text: str, max_chars: int) -> str:
    """The part of a text that counts: its first `max_chars` characters, or all with 0."""
    return text[:max_chars] if max_chars else text


def flags(text: str) -> tuple[str, ...]:
    """Warnings about a text as a measurement: a single short text says little."""
    return (SHORT_TEXT,) if len(text) < SHORT_TEXT_CHARS else ()


@cache
def metrics() -> Mapping[str, Metric]:
    """Every metric by name, in the order in which they are listed."""
    return {
        name: Metric(
            name=name,
            description=entry["description"],
            plus_phrases=tuple(map(speaker_phrase, entry["plus"])),
            minus_phrases=tuple(map(speaker_phrase, entry["minus"])),
        )
        for name, entry in json.loads(_data())["metrics"].items()
    }


def sets(metric: Metric) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """D+ and D-."""
    return metric.plus_phrases, metric.minus_phrases


def phrases(chosen: Iterable[Metric]) -> tuple[str, ...]:
    """Every speaker phrase of the metrics, each once: strings that two metrics share are read once."""
    return tuple(dict.fromkeys(phrase for metric in chosen for part in sets(metric) for phrase in part))


@cache
def version() -> str:
    """Version of the computation and digest of the phrases: part of every score's identity."""
    words = json.dumps({name: sets(metric) for name, metric in metrics().items()}, sort_keys=True)
    digest = hashlib.sha256(words.encode()).hexdigest()
    return f"sociot/{_COMPUTATION} sha256:{digest[:16]}"


def paddings(lengths: Mapping[str, int], padded_sets: Iterable[Sequence[str]]) -> dict[str, int]:
    """Padded positions that each phrase's string needs: up to the longest string of any of its own sets.

    Args:
        lengths: Tokens of each phrase's string for one text.
        padded_sets: Phrase sets (D+ and D- of each metric, each a set of its own).
    """
    needed = dict.fromkeys(lengths, 0)
    for members in padded_sets:
        longest = max(lengths[phrase] for phrase in members)
        for phrase in members:
            needed[phrase] = max(needed[phrase], longest - lengths[phrase])
    return needed


def reference(plus: Sequence[StringLoss], minus: Sequence[StringLoss]) -> float:
    """The published code's quantity with dropout off, in nats per token; positive leans to D+.

    The value of a set is minus the mean loss over every predicted position of its strings, right-padded with token 0 to the
    longest; the padded positions count, because the published code does not mask them.
    """
    return _mean_loss(minus) - _mean_loss(plus)


def exact(plus: Sequence[StringLoss], minus: Sequence[StringLoss]) -> tuple[float, float]:
    """The published formula log(P_D+(s) / P_D-(s)), P_D the mean probability over the phrases of a set.

    Returns:
        Nats for the whole text, and the same divided by its scored tokens.
    """
    value = _log_mean_probability(plus) - _log_mean_probability(minus)
    counts = [loss.scored_tokens for loss in (*plus, *minus)]
    return value, value * len(counts) / sum(counts)


def _mean_loss(losses: Sequence[StringLoss]) -> float:
    longest = max(loss.tokens for loss in losses)
    parts = [part for loss in losses for part in (loss.loss, *loss.padding[: longest - loss.tokens])]
    return math.fsum(parts) / (len(losses) * (longest - 1))


def _log_mean_probability(losses: Sequence[StringLoss]) -> float:
    logs = [-loss.scored_loss for loss in losses]
    top = max(logs)
    return top + math.log(math.fsum(math.exp(log - top) for log in logs) / len(logs))


def _data() -> str:
    return resources.files("services.grader").joinpath("data/sociot.json").read_text(encoding="utf-8")
