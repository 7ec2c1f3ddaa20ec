"""Chat completions with retries, deadlines and adaptive concurrency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.llm.circuit import Circuit, EndpointDownError
from chassis.llm.limiter import AdaptiveLimiter, PausedError, Slot
from chassis.llm.probing import probe
from chassis.llm.reading import Parsed, read
from chassis.llm.refusals import Refusal, classify, host
from chassis.llm.values import Completion, Endpoint, Messages, Probe, Sampling
from chassis.llm.waiting import Backoff
from chassis.llm.wire import Http, TimedOutError, UnreachableError, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How hard to try. All times in seconds.

    Attributes:
        max_attempts: Requests for one reply at most.
        bad_reply_attempts: Of these, how many may end in a reply that cannot be read.
        attempt_seconds: From sending a request to its whole reply.
        deadline_seconds: From the first request to the last word; waiting for a turn before it does not count.
        connect_seconds: For a new connection.
        initial_concurrency: Requests under way at the start.
        max_concurrency: The most that adaptive growth may reach.
        down_after_failures: So many hopeless failures in a row mean that the endpoint is gone ...
        down_after_seconds: ... once they lasted so long.
    """

    max_attempts: int = 8
    bad_reply_attempts: int = 3
    attempt_seconds: float = 120.0
    deadline_seconds: float = 600.0
    connect_seconds: float = 10.0
    backoff: Backoff = field(default_factory=Backoff)
    initial_concurrency: int = 16
    max_concurrency: int = 64
    down_after_failures: int = 8
    down_after_seconds: float = 30.0

    def limiter(self) -> AdaptiveLimiter:
        """A limiter for one server; nobody waits longer than a whole deadline because it asked for a pause."""
        return AdaptiveLimiter(
            self.initial_concurrency, self.max_concurrency, longest_pause_seconds=self.deadline_seconds
        )


class LlmClient:
    """One model behind one endpoint.

    Args:
        endpoint: Where, which model, which key.
        policy: How hard to try.
        limiter: Shared by clients of one server; made from the policy when absent.
        http: Shared connections; opened here (and closed by `close`) when absent.
        on_retry: Told the reason of each failure that is tried again.
        on_wait: Told of one more request (1) or one fewer (-1) that waits for its turn.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        policy: Policy | None = None,
        *,
        limiter: AdaptiveLimiter | None = None,
        http: Http | None = None,
        on_retry: Callable[[Reason], None] | None = None,
        on_wait: Callable[[int], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.policy = policy or Policy()
        self.limiter = limiter or self.policy.limiter()
        self.circuit = Circuit(self.policy.down_after_failures, self.policy.down_after_seconds)
        self._own_http = http is None
        self._http = http or Http(connect_seconds=self.policy.connect_seconds)
        self._wire: Wire | None = None
        self._on_retry = on_retry or (lambda _reason: None)
        self._on_wait = on_wait or (lambda _change: None)

    async def chat(
        self,
        messages: Messages,
        *,
        temperature: float = 0.0,
        max_tokens: int = 300,
        top_p: float | None = None,
        seed: int | None = None,
        omit: tuple[str, ...] = (),
        max_tokens_field: str = "max_tokens",
        response_format: Mapping[str, Any] | None = None,
        deadline_seconds: float | None = None,
        max_attempts: int | None = None,
    ) -> Completion:
        """Ask for one reply.

        Raises:
            CandorError: The catalog's reason once trying again is over.
            EndpointDownError: No call to this endpoint succeeds any more.
        """
        sampling = Sampling(
            temperature=temperature,
            max_tokens=max_tokens,
            top_p=top_p,
            seed=seed,
            omit=omit,
            max_tokens_field=max_tokens_field,
        )
        body = request_body(self.endpoint.model, messages, sampling)
        if response_format is not None:
            body["response_format"] = dict(response_format)
        limit = f"{sampling.max_tokens_field}={sampling.max_tokens}"
        deadline = self.policy.deadline_seconds if deadline_seconds is None else deadline_seconds
        return await self._ask(body, limit, deadline, max_attempts or self.policy.max_attempts)

    async def probe(self, sampling: Sampling) -> Probe:
        """Ask one question and find out which sampling parameters the endpoint refuses. Raises CandorError."""
        return await probe(self.chat, sampling)

    async def close(self) -> None:
        """Close the connections that this client opened itself."""
        if self._own_http:
            await self._http.close()

    async def _ask(self, body: Mapping[str, Any], limit: str, deadline_seconds: float, max_attempts: int) -> Completion:
        wire = self._open()  # the first call loads the SDK: not on the clock of its deadline
        attempt = bad_replies = 0
        give_up_at = float("inf")
        while True:
            attempt += 1
            slot = await self._turn(first=attempt > 1)
            try:
                self.circuit.check()
                if attempt == 1:
                    give_up_at = time.monotonic() + deadline_seconds
                outcome, took = await self._attempt(wire, body, limit, give_up_at)
                if isinstance(outcome, Parsed):
                    self.circuit.answered()
                    self.limiter.succeeded()
                    return _completion(outcome, attempt, took)
                if outcome.overload:
                    self.limiter.overloaded(slot, outcome.wait_seconds)
                self.circuit.failed(outcome.error, time.monotonic() - took)
            finally:
                self.limiter.release()
            bad_replies += outcome.error.reason is Reason.BAD_REPLY
            wait = max(self.policy.backoff.wait(attempt), outcome.wait_seconds)
            over = (
                not outcome.retry
                or attempt >= max_attempts
                or bad_replies >= self.policy.bad_reply_attempts
                or time.monotonic() + wait >= give_up_at
            )
            if over:
                raise _final(outcome.error, attempt)
            self._on_retry(outcome.error.reason)
            await asyncio.sleep(wait)

    async def _turn(self, *, first: bool) -> Slot:
        self._on_wait(1)
        try:
            return await self.limiter.acquire(first=first)
        except PausedError as error:
            message = f"{host(self.endpoint)} asks for a pause of {error.seconds:.0f} s; run again after it"
            raise EndpointDownError(Reason.RATE_LIMITED, message, metadata={"host": host(self.endpoint)}) from error
        finally:
            self._on_wait(-1)

    async def _attempt(
        self, wire: Wire, body: Mapping[str, Any], limit: str, give_up_at: float
    ) -> tuple[Parsed | Refusal, float]:
        """One request: what came of it and how many seconds it took."""
        start = time.monotonic()
        seconds = min(self.policy.attempt_seconds, give_up_at - start)
        where = host(self.endpoint)
        outcome: Parsed | Refusal
        try:
            async with asyncio.timeout(seconds):
                answer = await wire.post("/chat/completions", body)
            outcome = read(answer.body, limit) if answer.status == 200 else classify(answer, self.endpoint)
        except CandorError as error:
            unknown = error.reason is Reason.ENDPOINT_UNAVAILABLE  # the name does not resolve
            outcome = Refusal(error=error, retry=unknown or error.reason is Reason.BAD_REPLY, overload=unknown)
        except (TimeoutError, TimedOutError):
            message = f"{where} did not answer within {seconds:.3g} s"
            outcome = Refusal(error=self._error(Reason.ENDPOINT_TIMEOUT, message), retry=True, overload=True)
        except UnreachableError as error:
            message = f"{where} cannot be reached: {error}"
            outcome = Refusal(error=self._error(Reason.ENDPOINT_UNAVAILABLE, message), retry=True, overload=True)
        return outcome, time.monotonic() - start

    def _error(self, reason: Reason, message: str) -> CandorError:
        return CandorError(reason, message, metadata={"host": host(self.endpoint)})

    def _open(self) -> Wire:
        if self._wire is None:
            self._wire = Wire(self.endpoint, self._http)
        return self._wire


def request_body(model: str, messages: Messages, sampling: Sampling) -> dict[str, Any]:
    """The JSON of a request; omitted and absent parameters are left out."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": role, "content": content} for role, content in messages],
    }
    values = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed}
    body.update((name, value) for name, value in values.items() if value is not None and name not in sampling.omit)
    if "max_tokens" not in sampling.omit:
        body[sampling.max_tokens_field] = sampling.max_tokens
    return body


def _completion(parsed: Parsed, attempts: int, took: float) -> Completion:
    return Completion(
        text=parsed.text,
        finish_reason=parsed.finish_reason,
        reasoning=parsed.reasoning,
        usage=parsed.usage,
        reported_model=parsed.reported_model,
        attempts=attempts,
        latency_seconds=took,
    )


def _final(error: CandorError, attempts: int) -> CandorError:
    if attempts == 1:
        return error
    return CandorError(
        error.reason, f"{error.message} ({attempts} attempts)", metadata={**error.metadata, "attempts": str(attempts)}
    )
