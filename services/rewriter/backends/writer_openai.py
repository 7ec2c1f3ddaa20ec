"""Models behind OpenAI-compatible endpoints that rewrite, on `chassis.llm`."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from chassis import llm
from chassis.egress import Guard
from chassis.llm.wire import Http
from chassis.metrics import Metrics
from services.rewriter.domain import costs, prompting
from services.rewriter.domain.values import Draft, EndpointSpec, Sampling, Usage
from services.rewriter.ports import Task

_FIELD = "source.endpoint.endpoint"


class OpenAiWriters:
    """Writers by endpoint, model, key and sampling.

    Args:
        guard: Which hosts may be called and with which keys.
        policy: Retries, timeouts, concurrency.
        metrics: Retries, and requests that wait for their turn, are counted here.
        keep: Writers kept ready.
    """

    def __init__(self, guard: Guard, policy: llm.Policy, metrics: Metrics, keep: int = 16) -> None:
        self._guard = guard
        self._policy = policy
        self._metrics = metrics
        self._keep = keep
        self._http = Http(guard.addresses, policy.connect_seconds)
        self._ready: OrderedDict[tuple[EndpointSpec, bytes], OpenAiWriter] = OrderedDict()

    async def components(self, spec: EndpointSpec) -> Mapping[str, str]:
        """URL, model, sampling and prompt; keys and prices shape no text. Raises CandorError: not allowed."""
        await self._key(spec)
        sampling = spec.sampling
        return {
            "kind": "endpoint",
            "url": spec.base_url.rstrip("/"),
            "model": spec.model,
            "prompt": prompting.digest(),
            "temperature": f"{sampling.temperature:g}",
            "max_tokens": str(sampling.max_tokens),
            "top_p": "" if sampling.top_p is None else f"{sampling.top_p:g}",
            "omit": ",".join(sorted(sampling.omit)),
        }

    async def ready(self, spec: EndpointSpec) -> OpenAiWriter:
        """See ports. Calls that wait for the same writer share its probe."""
        key = await self._key(spec)
        spec = replace(spec, base_url=spec.base_url.rstrip("/"))
        name = (spec, hashlib.sha256(key.encode()).digest())
        writer = self._ready.get(name)
        if writer is None:
            client = llm.LlmClient(
                llm.Endpoint(spec.base_url, spec.model, key),
                self._policy,
                http=self._http,
                on_retry=self._metrics.retried,
                on_wait=self._metrics.waits,
            )
            writer = self._ready[name] = OpenAiWriter(client, spec)
        self._ready.move_to_end(name)
        while len(self._ready) > self._keep:
            self._ready.popitem(last=False)
        await writer.probe_once()
        return writer

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _key(self, spec: EndpointSpec) -> str:
        await self._guard.check_url(spec.base_url, f"{_FIELD}.base_url")
        return self._guard.key(spec.base_url, spec.credential, spec.api_key_env, _FIELD).get_secret_value()


class OpenAiWriter:
    """Implements `ports.Writer`."""

    def __init__(self, client: llm.LlmClient, spec: EndpointSpec) -> None:
        self._client = client
        self._spec = spec
        self._sampling: llm.Sampling | None = None
        self._probing = asyncio.Lock()

    @property
    def width(self) -> int:
        """See ports: twice the limit keeps the client's queue filled while some wait for another attempt."""
        return 2 * int(self._client.limiter.maximum)

    async def probe_once(self) -> None:
        """Find out once what the endpoint accepts. Raises CandorError."""
        async with self._probing:
            if self._sampling is None:
                self._sampling = (await self._client.probe(_sampling(self._spec.sampling))).sampling

    async def write(self, task: Task) -> Draft:
        """See ports."""
        sampling = self._sampling or _sampling(self._spec.sampling)
        found = await self._client.chat(
            prompting.messages(task.exchange, task.style, task.reasons),
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
            top_p=sampling.top_p,
            seed=task.seed,
            omit=sampling.omit,
            max_tokens_field=sampling.max_tokens_field,
        )
        return Draft(
            text=prompting.read(found.text, task.exchange),
            cut=found.finish_reason == "length",
            usage=Usage(
                prompt_tokens=found.usage.prompt_tokens,
                completion_tokens=found.usage.completion_tokens,
                reasoning_tokens=found.usage.reasoning_tokens,
            ),
            reported_model=found.reported_model or self._spec.model,
        )

    def estimate(self, task: Task) -> float | None:
        """See ports."""
        messages = prompting.messages(task.exchange, task.style, task.reasons)
        asked = sum(len(content) for _, content in messages)
        return costs.estimate(asked, len(task.exchange.reply), self._spec)

    def price(self, task: Task, draft: Draft) -> float | None:
        """See ports."""
        counted = costs.price(draft.usage, self._spec) if draft.usage is not None else None
        return self.estimate(task) if counted is None else counted


def _sampling(sampling: Sampling) -> llm.Sampling:
    return llm.Sampling(
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        top_p=sampling.top_p,
        seed=1,  # the probe must find out whether a seed is taken: every task has one
        omit=sampling.omit,
        max_tokens_field=sampling.max_tokens_field,
    )
