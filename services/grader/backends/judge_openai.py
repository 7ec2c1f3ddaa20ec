"""Judges behind OpenAI-compatible endpoints, on `chassis.llm`."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import replace

from chassis import llm
from chassis.egress import Guard
from chassis.errors import CandorError, Reason
from chassis.llm.wire import Http
from chassis.metrics import Metrics
from services.grader.domain import judging
from services.grader.domain.answers.case import AnswerCase, AnswerGrade, Usage

_FIELD = "judge.endpoint"


class OpenAiJudges:
    """Implements `ports.Judges`.

    Args:
        guard: Which hosts may be called and with which keys.
        policy: Retries, timeouts, concurrency.
        metrics: Retries, and requests that wait for their turn, are counted here.
        keep: Judges kept ready.
    """

    def __init__(self, guard: Guard, policy: llm.Policy, metrics: Metrics, keep: int = 16) -> None:
        self._guard = guard
        self._policy = policy
        self._metrics = metrics
        self._keep = keep
        self._http = Http(guard.addresses, policy.connect_seconds)
        self._ready: OrderedDict[tuple[judging.JudgeSpec, bytes], OpenAiJudge] = OrderedDict()

    async def ready(self, spec: judging.JudgeSpec) -> OpenAiJudge:
        """See ports. Calls that wait for the same judge share its probe."""
        judge = await self._judge(spec)
        await judge.probe_once()
        return judge

    async def identity(self, spec: judging.JudgeSpec) -> str:
        """See ports. Asked anew each time: a model may be swapped behind its name."""
        judge = await self._judge(spec)
        return await judge.probe() or spec.model

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _judge(self, spec: judging.JudgeSpec) -> OpenAiJudge:
        await self._guard.check_url(spec.base_url, f"{_FIELD}.base_url")
        key = self._guard.key(spec.base_url, spec.credential, spec.api_key_env, _FIELD).get_secret_value()
        spec = replace(spec, every_case=False)  # says what is asked, not whom
        name = (spec, hashlib.sha256(key.encode()).digest())
        if name not in self._ready:
            client = llm.LlmClient(
                llm.Endpoint(spec.base_url.rstrip("/"), spec.model, key),
                self._policy,
                http=self._http,
                on_retry=self._metrics.retried,
                on_wait=self._metrics.waits,
            )
            self._ready[name] = OpenAiJudge(client, spec)
        self._ready.move_to_end(name)
        while len(self._ready) > self._keep:
            self._ready.popitem(last=False)
        return self._ready[name]


class OpenAiJudge:
    """Implements `ports.Judge`: temperature 0, the schema where the endpoint takes one."""

    def __init__(self, client: llm.LlmClient, spec: judging.JudgeSpec) -> None:
        self._client = client
        self._spec = spec
        self._sampling: llm.Sampling | None = None
        self._schema = True
        self._probing = asyncio.Lock()

    @property
    def width(self) -> int:
        """See ports: twice the limit keeps the client's queue filled while some wait for another attempt."""
        return 2 * int(self._client.limiter.maximum)

    async def probe_once(self) -> None:
        """Find out once what the endpoint accepts. Raises CandorError."""
        async with self._probing:
            if self._sampling is None:
                await self.probe()

    async def probe(self) -> str:
        """Ask one small question; returns the name that the judge gives itself. Raises CandorError."""
        found = await self._client.probe(llm.Sampling(temperature=0.0, max_tokens=self._spec.max_tokens))
        self._sampling = found.sampling
        return found.reported_model

    async def judge(self, case: AnswerCase) -> AnswerGrade:
        """See ports."""
        found = await self._ask(case)
        usage = Usage(
            prompt_tokens=found.usage.prompt_tokens,
            completion_tokens=found.usage.completion_tokens,
            reasoning_tokens=found.usage.reasoning_tokens,
        )
        return judging.read(found.text, case, found.reported_model or self._spec.model, usage)

    async def _ask(self, case: AnswerCase) -> llm.Completion:
        schema = self._schema
        try:
            return await self._chat(case, schema=schema)
        except CandorError as error:
            # Which 400 is about the schema cannot be told from its words: a second request without it tells.
            if not schema or error.reason is not Reason.ENDPOINT_REFUSED:
                raise
            found = await self._chat(case, schema=False)
            self._schema = False
            return found

    async def _chat(self, case: AnswerCase, *, schema: bool) -> llm.Completion:
        sampling = self._sampling or llm.Sampling(temperature=0.0, max_tokens=self._spec.max_tokens)
        return await self._client.chat(
            judging.messages(case),
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
            omit=sampling.omit,
            max_tokens_field=sampling.max_tokens_field,
            response_format=judging.response_format() if schema else None,
        )
