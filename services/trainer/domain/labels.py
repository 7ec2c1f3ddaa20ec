"""From characters to tokens: which tokens are trained, and what a data set of them amounts to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.trainer.domain.spans import Rendered

# The label of a token that is not trained, as torch's cross-entropy has it.
UNTRAINED = -100


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as tokens.

    Attributes:
        ids: Token ids, cut to the longest length and after the last trained token (what follows it trains nothing).
        labels: The id where a token is trained, UNTRAINED elsewhere.
        tokens: Length before any cut.
        cut: Whether the longest length cut it.
        closes: Whether the end of a turn is among the trained tokens.
        straddles: Whether a token reaches from the prompt into a reply.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    tokens: int
    cut: bool
    closes: bool
    straddles: bool

    @property
    def trained(self) -> int:
        """Trained tokens."""
        return sum(label != UNTRAINED for label in self.labels)


def label(rendered: Rendered, ids: Sequence[int], offsets: Sequence[tuple[int, int]], max_length: int) -> Example:
    """Labels of a tokenized conversation.

    Args:
        rendered: The text and the assistant's spans.
        ids: Its tokens.
        offsets: The characters [start, end) of each token.
        max_length: Tokens beyond are cut off.
    """
    spans = iter(rendered.spans)
    span = next(spans, None)
    labels = [UNTRAINED] * len(ids)
    closes = straddles = False
    last = 0
    for place, (start, end) in enumerate(offsets[:max_length]):
        while span is not None and start >= span.end:
            span = next(spans, None)
        if span is None or start == end or end <= span.start:
            continue
        labels[place] = ids[place]
        last = place + 1
        straddles = straddles or start < span.start
        closes = closes or span.closing <= start
    return Example(
        ids=tuple(ids[:last]),
        labels=tuple(labels[:last]),
        tokens=len(ids),
        cut=len(ids) > max_length,
        closes=closes,
        straddles=straddles,
    )
