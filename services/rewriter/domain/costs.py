"""What a rewrite costs: by counted tokens, or roughly by characters before they are known."""

from __future__ import annotations

from services.rewriter.domain.values import EndpointSpec, Usage

_CHARS_PER_TOKEN = 4.0
_LONGER = 1.3  # a rewrite is a little longer than its reply
_MILLION = 1_000_000.0


def estimate(prompt_chars: int, reply_chars: int, spec: EndpointSpec) -> float | None:
    """Before it is bought; None without prices."""
    prices = _prices(spec)
    if prices is None:
        return None
    tokens = prompt_chars / _CHARS_PER_TOKEN, min(reply_chars * _LONGER / _CHARS_PER_TOKEN, spec.sampling.max_tokens)
    return (tokens[0] * prices[0] + tokens[1] * prices[1]) / _MILLION


def price(usage: Usage, spec: EndpointSpec) -> float | None:
    """By the tokens that the endpoint counted; None without prices or counts."""
    prices = _prices(spec)
    if prices is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return (usage.prompt_tokens * prices[0] + usage.completion_tokens * prices[1]) / _MILLION


def _prices(spec: EndpointSpec) -> tuple[float, float] | None:
    if spec.prompt_price is None or spec.completion_price is None:
        return None
    return spec.prompt_price, spec.completion_price
