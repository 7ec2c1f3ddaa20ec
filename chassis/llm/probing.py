"""Which sampling parameters does an endpoint take? Ask one question, and once more for each one it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from chassis.errors import CandorError, Reason
from chassis.llm.values import Completion, Probe, Sampling
from chassis.sampling import OMITTABLE, TOKEN_LIMIT_FIELDS

QUESTION = (("user", "Say the word ready."),)
_ATTEMPTS = 3  # an unreachable endpoint is named in seconds; the run itself tries harder


async def probe(chat: Callable[..., Awaitable[Completion]], sampling: Sampling) -> Probe:
    """Ask until the endpoint accepts; each refused parameter moves to `omit` or to its other name.

    Raises:
        CandorError: The endpoint cannot be used at all (key, model, URL, no text within the token limit).
    """
    notes: list[str] = []
    tried = {sampling.max_tokens_field}
    for _ in range(len(OMITTABLE) + len(TOKEN_LIMIT_FIELDS)):
        try:
            reply = await chat(
                QUESTION,
                temperature=sampling.temperature,
                max_tokens=sampling.max_tokens,
                top_p=sampling.top_p,
                seed=sampling.seed,
                omit=sampling.omit,
                max_tokens_field=sampling.max_tokens_field,
                max_attempts=_ATTEMPTS,
            )
        except CandorError as error:
            if error.reason is Reason.EMPTY_REPLY:
                notes.append(f"the probe question got no text: {error.message}")
                return Probe(
                    sampling=sampling, reported_model=error.metadata.get("reported_model", ""), notes=tuple(notes)
                )
            changed = _without_refused(sampling, error, tried)
            if changed is None:
                raise
            sampling, note = changed
            notes.append(f"{note}; the endpoint said: {error.message}")
        else:
            return Probe(sampling=sampling, reported_model=reply.reported_model, notes=tuple(notes))
    raise CandorError(Reason.ENDPOINT_REFUSED, "the endpoint refuses every form of request; " + "; ".join(notes))


def _without_refused(sampling: Sampling, error: CandorError, tried: set[str]) -> tuple[Sampling, str] | None:
    name = error.metadata.get("parameter", "")
    if error.reason is not Reason.ENDPOINT_REFUSED or not name or name in sampling.omit:
        return None
    if name == "max_tokens":
        other = next(field for field in TOKEN_LIMIT_FIELDS if field != sampling.max_tokens_field)
        if other not in tried and (error.metadata.get("instead") == other or other == "max_tokens"):
            tried.add(other)
            return replace(sampling, max_tokens_field=other), f"the token limit is sent as {other}"
    return replace(sampling, omit=(*sampling.omit, name)), f"{name} is not sent"
