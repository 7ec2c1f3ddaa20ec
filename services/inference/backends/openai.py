"""Subjects behind OpenAI-compatible endpoints, on `chassis.llm`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing
from weakref import WeakValueDictionary

from chassis import llm
from chassis.egress import Guard
from chassis.errors import CandorError
from chassis.fan_out import fan_out
from chassis.llm.circuit import EndpointDownError
from chassis.llm.limiter import AdaptiveLimiter
from chassis.llm.wire import Http
from chassis.metrics import Metrics
from chassis.urls import normal_url
from services.inference.backends.completions import reply_of
from services.inference.domain.identity import Identity, of_endpoint
from services.inference.domain.model import (
    Check,
    Endpoint,
    ModelSpec,
    Prompt,
    Reply,
    Sampling,
    conversation,
)
from services.inference.ports import Subject, WholeSubjectError

_FIELD = "model.endpoint"


class OpenAiBackend:
    """Implements `ports.Backend`. Models of one server share its concurrency limit, and all share the connections.

    Args:
        guard: Which hosts may be called and with which keys.
        policy: Retries, timeouts, concurrency.
        metrics: Retries, and requests that wait for their turn, are counted here.
    """

    def __init__(self, guard: Guard, policy: llm.Policy, metrics: Metrics) -> None:
        self._guard = guard
        self._policy = policy
        self._metrics = metrics
        self._limiters: WeakValueDictionary[str, AdaptiveLimiter] = WeakValueDictionary()
        self._http = Http(guard.addresses, policy.connect_seconds)

    async def fingerprint(self, spec: ModelSpec) -> Hashable:
        """See ports: the key, hashed."""
        endpoint = _endpoint(spec)
        await self._guard.check_url(endpoint.base_url, f"{_FIELD}.base_url")
        return hashlib.sha256(self._key(endpoint).encode()).digest()

    async def prepare(self, spec: ModelSpec, system_text: str) -> Subject:
        """See ports. Nothing is sent yet."""
        endpoint = _endpoint(spec)
        url = normal_url(endpoint.base_url)
        limiter = self._limiters.get(url)
        if limiter is None:
            limiter = self._limiters[url] = self._policy.limiter()
        client = llm.LlmClient(
            llm.Endpoint(url, endpoint.model, self._key(endpoint)),
            self._policy,
            limiter=limiter,
            http=self._http,
            on_retry=self._metrics.retried,
            on_wait=self._metrics.waits,
        )
        return OpenAiSubject(client, of_endpoint(endpoint, spec.revision, system_text), system_text)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _key(self, endpoint: Endpoint) -> str:
        return self._guard.key(endpoint.base_url, endpoint.credential, endpoint.api_key_env, _FIELD).get_secret_value()


class OpenAiSubject:
    """Implements `ports.Subject`."""

    def __init__(self, client: llm.LlmClient, identity: Identity, system_text: str) -> None:
        self.identity = identity
        self._client = client
        self._system_text = system_text

    async def check(self, sampling: Sampling) -> Check:
        """See ports."""
        probe = await self._client.probe(
            llm.Sampling(
                temperature=sampling.temperature,
                max_tokens=sampling.max_tokens,
                top_p=sampling.top_p,
                seed=sampling.seed,
                omit=sampling.omit,
                max_tokens_field=sampling.max_tokens_field,
            )
        )
        found = probe.sampling
        return Check(
            sampling=Sampling(
                temperature=found.temperature,
                max_tokens=found.max_tokens,
                top_p=found.top_p,
                seed=found.seed,
                omit=found.omit,
                max_tokens_field=found.max_tokens_field,
            ),
            reported_model=probe.reported_model,
            notes=probe.notes,
        )

    async def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> AsyncGenerator[tuple[int, Reply | CandorError]]:
        """See ports."""

        async def answer(prompt: Prompt) -> Reply:
            return await self._answer(prompt, sampling)

        # Twice the limit keeps the client's queue filled while some wait for their second attempt.
        width = 2 * int(self._client.limiter.maximum)
        async with aclosing(fan_out(prompts, answer, width, ends=WholeSubjectError)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def close(self) -> None:
        """See ports. The connections are shared and stay open."""

    async def _answer(self, prompt: Prompt, sampling: Sampling) -> Reply:
        try:
            found = await self._client.chat(
                conversation(prompt, self._system_text),
                temperature=sampling.temperature,
                max_tokens=sampling.max_tokens,
                top_p=sampling.top_p,
                seed=sampling.seed if prompt.seed is None else prompt.seed,
                omit=sampling.omit,
                max_tokens_field=sampling.max_tokens_field,
            )
        except EndpointDownError as error:
            raise WholeSubjectError(error.reason, error.message, metadata=error.metadata) from error
        return reply_of(found)


def _endpoint(spec: ModelSpec) -> Endpoint:
    assert isinstance(spec.source, Endpoint), "routed by the type of source"
    return spec.source
