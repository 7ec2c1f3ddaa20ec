"""The client against a real HTTP server that misbehaves on purpose."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from chassis.llm import Endpoint, LlmClient, Policy, Sampling
from chassis.llm.circuit import EndpointDownError
from chassis.llm.waiting import Backoff
from chassis.testing import FakeEndpoint, Fault

FAST = Policy(backoff=Backoff(first_seconds=0.001, longest_seconds=0.01), down_after_failures=1000)
QUESTION = [("user", "What is the capital of France?")]


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(lambda _call: "Paris.") as fake:
        yield fake


@asynccontextmanager
async def client(
    endpoint: FakeEndpoint, policy: Policy = FAST, key: str = "", **parts: Any
) -> AsyncIterator[LlmClient]:
    found = LlmClient(Endpoint(endpoint.base_url, "m-1", key), policy, **parts)
    try:
        yield found
    finally:
        await found.close()


async def failure(endpoint: FakeEndpoint, policy: Policy = FAST, **sampling: Any) -> CandorError:
    async with client(endpoint, policy) as found:
        with pytest.raises(CandorError) as caught:
            await found.chat(QUESTION, **sampling)
    return caught.value


async def test_a_reply_comes_with_what_is_known_about_it(endpoint: FakeEndpoint) -> None:
    async with client(endpoint) as found:
        reply = await found.chat([("system", "Be brief."), *QUESTION], temperature=0.8, seed=7, max_tokens=20)
    assert (reply.text, reply.finish_reason, reply.reported_model, reply.attempts) == ("Paris.", "stop", "m-1", 1)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (8, 1)
    assert 0 < reply.latency_seconds < 10
    assert endpoint.calls[0].messages == (("system", "Be brief."), *QUESTION)
    assert endpoint.calls[0].seed == 7


async def test_what_is_omitted_or_absent_is_not_sent() -> None:
    bodies = []

    def answer(call: Any) -> str:
        bodies.append(dict(call.body))
        return "x"

    with FakeEndpoint(answer) as fake:
        async with client(fake) as found:
            await found.chat(QUESTION, seed=1, omit=("seed", "temperature"), max_tokens_field="max_completion_tokens")
            await found.chat(QUESTION, omit=("max_tokens",), response_format={"type": "json_object"})
    assert set(bodies[0]) == {"model", "messages", "max_completion_tokens"}
    assert set(bodies[1]) == {"model", "messages", "temperature", "response_format"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault.rate_limited(),
        Fault.status(500),
        Fault.status(503),
        Fault.cut_json(),
        Fault.no_choices(),
        Fault.drop(),
        Fault.drop(0),
        Fault.raw(b"<html>bad gateway</html>", 502),
        Fault.raw(b"not json"),
    ],
    ids=lambda fault: fault.name,
)
async def test_a_passing_fault_is_tried_again_and_counted(endpoint: FakeEndpoint, fault: Fault) -> None:
    retries: Counter[Reason] = Counter()
    endpoint.script(fault)
    async with client(endpoint, on_retry=lambda reason: retries.update([reason])) as found:
        reply = await found.chat(QUESTION)
    assert (reply.text, reply.attempts, retries.total()) == ("Paris.", 2, 1)


async def test_those_who_wait_for_their_turn_are_counted() -> None:
    waiting: list[int] = []
    policy = replace(FAST, initial_concurrency=1, max_concurrency=1)
    with FakeEndpoint(lambda _call: "Paris.") as fake:
        async with client(fake, policy, on_wait=waiting.append) as found:
            await asyncio.gather(*(found.chat(QUESTION) for _ in range(3)))
    assert sum(waiting) == 0
    assert max(itertools.accumulate(waiting)) == 2, "one has its turn, two wait"


@pytest.mark.parametrize(
    ("fault", "reason", "calls"),
    [
        (Fault.rate_limited(), Reason.RATE_LIMITED, 4),
        (Fault.status(500, "boom"), Reason.ENDPOINT_UNAVAILABLE, 4),
        (Fault.status(504), Reason.ENDPOINT_TIMEOUT, 4),
        (Fault.drop(), Reason.ENDPOINT_UNAVAILABLE, 4),
        (Fault.cut_json(), Reason.BAD_REPLY, 2),
        (Fault.no_choices(), Reason.BAD_REPLY, 2),
        (Fault.empty(), Reason.EMPTY_REPLY, 1),
        (Fault.budget(), Reason.OUTPUT_BUDGET, 1),
        (Fault.status(401), Reason.ENDPOINT_UNAUTHENTICATED, 1),
        (Fault.status(404, "model not found"), Reason.MODEL_NOT_FOUND, 1),
        (Fault.status(400, "maximum context length is 10"), Reason.CONTEXT_TOO_LONG, 1),
        (Fault.status(400, "no such thing"), Reason.ENDPOINT_REFUSED, 1),
        (Fault.raw(b"", 302), Reason.ENDPOINT_REFUSED, 1),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else str(value),
)
async def test_a_lasting_fault_ends_in_its_reason(
    endpoint: FakeEndpoint, fault: Fault, reason: Reason, calls: int
) -> None:
    endpoint.fault = lambda _call: fault
    error = await failure(endpoint, replace(FAST, max_attempts=4, bad_reply_attempts=2))
    assert error.reason is reason
    assert len(endpoint.calls) == calls
    assert ("attempts" in error.message) is (calls > 1)


async def test_a_reply_cut_by_its_limit_is_a_reply(endpoint: FakeEndpoint) -> None:
    endpoint.script(Fault.length(3))
    async with client(endpoint) as found:
        reply = await found.chat(QUESTION)
    assert (reply.text, reply.finish_reason) == ("Par", "length")


@pytest.mark.parametrize("how", ["reasoning", "reasoning_content", "think"])
async def test_reasoning_is_kept_apart(endpoint: FakeEndpoint, how: str) -> None:
    endpoint.script(Fault.reasoning("France, so", how))
    async with client(endpoint) as found:
        reply = await found.chat(QUESTION)
    assert (reply.text, reply.reasoning) == ("Paris.", "France, so")


async def test_another_model_name_in_the_reply_is_reported(endpoint: FakeEndpoint) -> None:
    endpoint.script(Fault.calls_itself("m-0-old"))
    async with client(endpoint) as found:
        assert (await found.chat(QUESTION)).reported_model == "m-0-old"


async def test_an_endpoint_that_hangs_times_out_and_is_asked_again(endpoint: FakeEndpoint) -> None:
    endpoint.script(Fault.hang())
    async with client(endpoint, replace(FAST, attempt_seconds=0.1)) as found:
        reply = await found.chat(QUESTION)
    assert reply.attempts == 2


async def test_an_endpoint_that_always_hangs_ends_at_the_deadline(endpoint: FakeEndpoint) -> None:
    endpoint.fault = lambda _call: Fault.hang()
    error = await failure(endpoint, replace(FAST, attempt_seconds=0.1), deadline_seconds=0.8)
    assert error.reason is Reason.ENDPOINT_TIMEOUT
    assert 2 <= len(endpoint.calls) <= 8


async def test_retry_after_holds_back_every_call(endpoint: FakeEndpoint) -> None:
    endpoint.script(Fault.rate_limited(retry_after=0.3))
    async with client(endpoint, replace(FAST, initial_concurrency=1)) as found:
        await asyncio.gather(*(found.chat(QUESTION) for _ in range(3)))
    refused, *later = endpoint.calls
    assert len(later) == 3
    assert all(call.asked_monotonic - refused.answered_monotonic >= 0.25 for call in later)


async def test_a_retry_after_beyond_the_deadline_ends_at_once(endpoint: FakeEndpoint) -> None:
    endpoint.script(Fault.rate_limited(retry_after=3600))
    start = time.monotonic()
    error = await failure(endpoint, deadline_seconds=60)
    assert error.reason is Reason.RATE_LIMITED
    assert time.monotonic() - start < 10


async def test_a_pause_longer_than_anyone_waits_is_about_the_whole_endpoint(endpoint: FakeEndpoint) -> None:
    endpoint.script(Fault.rate_limited(retry_after=3600))
    async with client(endpoint, replace(FAST, initial_concurrency=1, max_concurrency=1)) as found:
        outcomes = await asyncio.gather(*(found.chat(QUESTION) for _ in range(50)), return_exceptions=True)
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, CandorError)} == {Reason.RATE_LIMITED}
    assert sum(isinstance(outcome, EndpointDownError) for outcome in outcomes) == 49
    assert len(endpoint.calls) == 1


async def test_a_storm_of_429_is_ridden_out_with_fewer_requests_at_once() -> None:
    """The endpoint copes with four at a time and refuses the rest, as real rate limits do."""
    with FakeEndpoint(lambda _call: "Paris.") as fake:
        busy = 0

        def fault(_call: Any) -> Fault:
            nonlocal busy
            busy = fake.in_flight
            return Fault.delay(0.01) if busy <= 4 else Fault.rate_limited()

        fake.fault = fault
        policy = replace(FAST, max_attempts=50, backoff=Backoff(first_seconds=0.01, longest_seconds=0.1))
        async with client(fake, policy) as found:
            replies = await asyncio.gather(*(found.chat(QUESTION) for _ in range(120)))
            assert found.limiter.limit < 16
        assert len(replies) == 120
        refused = sum(call.status == 429 for call in fake.calls)
        assert refused < 120  # without backing off it is many more


async def test_concurrency_grows_to_its_maximum_and_no_further(endpoint: FakeEndpoint) -> None:
    async with client(endpoint, replace(FAST, initial_concurrency=4, max_concurrency=24)) as found:
        while found.limiter.limit < 24:
            await asyncio.gather(*(found.chat(QUESTION) for _ in range(60)))
        before = len(endpoint.calls)
        endpoint.fault = lambda _call: Fault.hang()
        calls = [asyncio.create_task(found.chat(QUESTION)) for _ in range(60)]
        await asyncio.to_thread(endpoint.wait_for_calls, before + 24)
        assert found.limiter.in_flight == endpoint.in_flight == 24
        endpoint.release()
        await asyncio.gather(*calls)
    assert endpoint.most_in_flight == 24


async def test_the_key_goes_along_and_nothing_from_the_environment_does(monkeypatch: pytest.MonkeyPatch) -> None:
    headers: list[dict[str, str]] = []

    def answer(call: Any) -> str:
        headers.append(dict(call.headers))
        return "x"

    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-someone-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-secret: 1\nauthorization: Bearer stolen")
    with FakeEndpoint(answer) as fake:
        async with client(fake) as keyless:
            await keyless.chat(QUESTION)
        fake.key = "right"
        async with client(fake, key="right") as keyed:
            await keyed.chat(QUESTION)
    assert "authorization" not in headers[0]
    assert headers[1]["authorization"] == "Bearer right"
    assert not [value for value in headers[0].values() if "secret" in value or "stolen" in value]
    assert "x-secret" not in headers[0]


async def test_a_dead_endpoint_is_told_from_failed_requests(endpoint: FakeEndpoint) -> None:
    policy = replace(FAST, down_after_failures=6, down_after_seconds=0.1, max_attempts=1000)
    async with client(endpoint, policy) as found:
        found.circuit.pause_seconds = 0.0
        await found.chat(QUESTION)
        endpoint.stop()
        outcomes = await asyncio.gather(*(found.chat(QUESTION) for _ in range(40)), return_exceptions=True)
        assert all(isinstance(outcome, EndpointDownError) for outcome in outcomes)
        assert {outcome.reason for outcome in outcomes if isinstance(outcome, CandorError)} == {
            Reason.ENDPOINT_UNAVAILABLE
        }
        endpoint.start()  # at the same port
        assert (await found.chat(QUESTION)).text == "Paris."


async def test_an_endpoint_that_was_never_there_is_named() -> None:
    found = LlmClient(Endpoint("http://127.0.0.1:1/v1", "m"), replace(FAST, max_attempts=2))
    with pytest.raises(CandorError, match=r"127\.0\.0\.1:1 cannot be reached") as caught:
        await found.chat(QUESTION)
    await found.close()
    assert caught.value.reason is Reason.ENDPOINT_UNAVAILABLE


async def test_a_name_that_leads_to_metadata_is_not_even_connected_to() -> None:
    found = LlmClient(Endpoint("http://169.254.169.254/v1", "m"), FAST)
    with pytest.raises(CandorError) as caught:
        await found.chat(QUESTION)
    await found.close()
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED


async def test_an_endpoint_that_closes_idle_connections_costs_no_attempt(endpoint: FakeEndpoint) -> None:
    async with client(endpoint) as found:
        await found.chat(QUESTION)
        endpoint.stop()
        endpoint.start()
        assert (await found.chat(QUESTION)).attempts == 1


async def test_a_cancelled_call_lets_the_next_one_through(endpoint: FakeEndpoint) -> None:
    endpoint.script(Fault.hang())
    async with client(endpoint, replace(FAST, initial_concurrency=1, max_concurrency=1)) as found:
        hanging = asyncio.create_task(found.chat(QUESTION))
        await asyncio.to_thread(endpoint.wait_for_calls, 1)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert (await found.chat(QUESTION)).text == "Paris."


async def test_the_probe_finds_refused_parameters_over_http() -> None:
    with FakeEndpoint(refuses=("temperature", "seed"), wants_max_completion_tokens=True) as fake:
        async with client(fake) as found:
            probe = await found.probe(Sampling(seed=1, top_p=0.9))
            assert set(probe.sampling.omit) == {"temperature", "seed"}
            assert probe.sampling.max_tokens_field == "max_completion_tokens"
            assert len(fake.calls) == 4
            found_sampling = probe.sampling
            reply = await found.chat(
                QUESTION,
                temperature=found_sampling.temperature,
                seed=found_sampling.seed,
                omit=found_sampling.omit,
                max_tokens_field=found_sampling.max_tokens_field,
            )
    assert reply.attempts == 1
