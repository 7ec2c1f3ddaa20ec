"""What a text's warmth scores are made of (METHOD section 4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One SocioT or HumT metric: the log-odds of a text between two sets of speakers.

    Attributes:
        name: For example `sociot_warmth`.
        description: One sentence for a person.
        plus_phrases: Speaker phrases of D+, as they stand before the quoted text ("The friend said").
        minus_phrases: Speaker phrases of D-.
    """

    name: str
    description: str
    plus_phrases: tuple[str, ...]
    minus_phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricScore:
    """One metric's value of one text.

    Attributes:
        metric: Name of the metric.
        value: Nats per token (`reference`) or nats per text (`exact`); positive leans to D+.
        value_per_token: `exact` only: value divided by the scored tokens.
    """

    metric: str
    value: float
    value_per_token: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScores:
    """Scores of one text in the order of the metrics asked for; `flags` for example ("short_text",)."""

    scores: tuple[MetricScore, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """A value that could not be measured: neither an error nor a zero.

    Attributes:
        reason: UPPER_SNAKE_CASE, for example `EMPTY_TEXT`.
        message: One sentence for a person.
    """

    reason: str
    message: str
