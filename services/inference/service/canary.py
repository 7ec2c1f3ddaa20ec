"""The liveness canary of a fine-tune that is served as a model of its own: its greedy replies beside its base's."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

from chassis.errors import CandorError
from services.inference.domain.liveness import QUESTIONS, ROUNDS, Liveness, judge_texts
from services.inference.domain.model import Prompt, Sampling
from services.inference.ports import Subject

_LEAST_TOKENS = 64
# Of a reply that are compared: even a provider whose greedy replies drift apart begins most of them alike twice.
_CHARS = 160


async def compare(base: Subject, tuned: Subject, sampling: Sampling) -> Liveness:
    """Put the probes to the base and to the fine-tune, in turns.

    Args:
        base: What was fine-tuned.
        tuned: What came of it.
        sampling: As the fine-tune accepts it; the replies are drawn greedily, where it takes a temperature.

    Raises:
        CandorError: One of them cannot be asked at all.
    """
    greedy = replace(sampling, temperature=0.0, max_tokens=max(_LEAST_TOKENS, sampling.max_tokens))
    rounds = [(await _texts(base, greedy), await _texts(tuned, greedy)) for _ in range(ROUNDS)]
    return judge_texts([one for one, _ in rounds], [other for _, other in rounds])


async def _texts(subject: Subject, sampling: Sampling) -> list[str | None]:
    """Beginnings of the replies in the order of the probes; None where a call failed."""
    found: list[str | None] = [None] * len(QUESTIONS)
    prompts = [Prompt(messages=(("user", question),)) for question in QUESTIONS]
    async with aclosing(subject.generate(prompts, sampling)) as outcomes:
        async for index, outcome in outcomes:
            found[index] = None if isinstance(outcome, CandorError) else outcome.text[:_CHARS]
    return found
