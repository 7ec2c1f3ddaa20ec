"""A checkpoint that answers through vLLM's OpenAI API, as its base or as one of its adapters."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from chassis import llm
from chassis.errors import CandorError, Reason
from chassis.fan_out import fan_out
from chassis.llm.wire import Http, Wire
from chassis.text import plain
from services.inference.backends.completions import reply_of
from services.inference.backends.vllm.engine import Engine
from services.inference.backends.vllm.options import SERVED_NAME
from services.inference.domain.identity import Identity
from services.inference.domain.liveness import PROBES, ROUNDS, Liveness, Logprobs, judge
from services.inference.domain.model import Check, Prompt, Reply, Sampling, conversation
from services.inference.ports import WholeSubjectError

_PROBE = Prompt(messages=(("user", "Say the word ready."),))
_PROBE_TOKENS = 4
_ASKED_AT_MOST = 3
_MINUS_INFINITY = -9999.0  # what vLLM writes for it
_NOT_JSON = "Out of range float values"  # what it fails with when it would have to write NaN
_LOST = (Reason.ENDPOINT_UNAVAILABLE, Reason.MODEL_NOT_FOUND)  # it died, or it came back and not all adapters with it

Outcome = Reply | CandorError


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A ready engine and the model to ask it for."""

    engine: Engine
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSubject:
    """Implements `ports.Subject`.

    Attributes:
        name: Reported as the model's name.
        serve: Holds engine and adapter ready while they are in use.
        http: Connections to the engine.
        attempt_seconds: From sending a request to its whole reply.
        on_retry: Told the reason of each failure that is tried again.
    """

    identity: Identity
    name: str
    system_text: str
    serve: Callable[[], AbstractAsyncContextManager[Served]]
    http: Http
    attempt_seconds: float
    on_retry: Callable[[Reason], None]

    async def check(self, sampling: Sampling) -> Check:
        """See ports. The engine refuses no parameter; a few tokens show that it runs."""
        few = replace(sampling, max_tokens=min(sampling.max_tokens, _PROBE_TOKENS))
        async with self.serve() as served, served.engine.checking:
            async for _, outcome in self._generate(served, [_PROBE], few):
                harmless = (Reason.EMPTY_REPLY, Reason.OUTPUT_BUDGET)  # so few tokens need not make a text
                if isinstance(outcome, CandorError) and outcome.reason not in harmless:
                    raise outcome
            liveness = await self._liveness(served) if served.model != SERVED_NAME else None
        return Check(sampling=replace(sampling, omit=()), reported_model=self.name, liveness=liveness)

    async def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> AsyncGenerator[tuple[int, Outcome]]:
        """See ports."""
        async with self.serve() as served, aclosing(self._generate(served, prompts, sampling)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def close(self) -> None:
        """See ports: engine and adapters are the backend's."""

    async def _generate(
        self, served: Served, prompts: Sequence[Prompt], sampling: Sampling
    ) -> AsyncGenerator[tuple[int, Outcome]]:
        engine = served.engine
        policy = llm.Policy(
            max_attempts=1, attempt_seconds=self.attempt_seconds, down_after_failures=len(prompts) * _ASKED_AT_MOST + 1
        )
        endpoint = llm.Endpoint(engine.url, served.model, engine.key)
        client = llm.LlmClient(endpoint, policy, limiter=engine.limiter, http=self.http)

        async def answer(prompt: Prompt) -> Reply:
            return await self._answer(engine, client, prompt, sampling)

        width = 2 * int(engine.limiter.maximum)
        async with aclosing(fan_out(prompts, answer, width, ends=WholeSubjectError)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def _answer(self, engine: Engine, client: llm.LlmClient, prompt: Prompt, sampling: Sampling) -> Reply:
        """One reply; asked again when the engine died under it, without its token limit when that does not fit."""
        omit: tuple[str, ...] = ()
        for attempt in count(1):
            try:
                found = await client.chat(
                    conversation(prompt, self.system_text),
                    temperature=sampling.temperature,
                    max_tokens=sampling.max_tokens,
                    top_p=sampling.top_p,
                    seed=sampling.seed if prompt.seed is None else prompt.seed,
                    omit=omit,
                )
            except CandorError as error:
                refused_limit = "max_tokens" in map(error.metadata.get, ("parameter", "refused_value"))
                if (error.reason is Reason.CONTEXT_TOO_LONG or refused_limit) and not omit:
                    omit = ("max_tokens",)  # what room there is for a reply is then its limit
                elif error.reason in _LOST and attempt < _ASKED_AT_MOST:
                    self.on_retry(error.reason)
                    await engine.settled()
                else:
                    raise
            else:
                engine.answered()
                return replace(reply_of(found), attempts=attempt, reported_model=self.name)
        raise AssertionError("the loop ends with a reply or an error")

    async def _liveness(self, served: Served) -> Liveness:
        models = (SERVED_NAME, served.model)
        pairs = [[await self._logprobs(served.engine, model) for model in models] for _ in range(ROUNDS)]
        return judge(*zip(*pairs, strict=True))

    async def _logprobs(self, engine: Engine, model: str) -> Logprobs:
        """Log-probabilities of the tokens of each probe, asked one after the other: batching would add noise."""
        wire = Wire(llm.Endpoint(engine.url, model, engine.key), self.http)
        found = []
        for probe in PROBES:
            body = {
                "model": model,
                "messages": [{"role": role, "content": text} for role, text in probe],
                "add_generation_prompt": False,
                "prompt_logprobs": 0,
                "max_tokens": 1,
                "temperature": 0,
            }
            answer = await wire.post("/chat/completions", body)
            if answer.status != 200:
                said = plain(answer.body.decode(errors="replace"))
                if _NOT_JSON in said:
                    return [[math.nan]]
                raise CandorError(Reason.ENDPOINT_REFUSED, f"vLLM refuses the liveness probe: {said}")
            found.append(_token_logprobs(json.loads(answer.body)))
        return found


def _token_logprobs(body: Any) -> list[float]:
    """One number for each token but the first; with 0 alternatives each position names the token itself only."""
    positions = body["prompt_logprobs"][1:]
    found = [float(next(iter(position.values()))["logprob"]) for position in positions]
    return [-math.inf if value <= _MINUS_INFINITY else value for value in found]
