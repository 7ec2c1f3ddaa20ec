"""HTTP as servers really speak it: TLS, proxies, chunks, closed connections, answers that nobody asked for."""

import asyncio
import gzip
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from chassis.llm import Endpoint, LlmClient, Policy
from chassis.llm.waiting import Backoff
from chassis.llm.wire import Http
from chassis.testing import FakeEndpoint, Fault
from chassis.testing.fake_endpoint.http_server import Response

FAST = Policy(backoff=Backoff(first_seconds=0.001), max_attempts=2)
QUESTION = [("user", "hi")]


@asynccontextmanager
async def client(base_url: str) -> AsyncIterator[LlmClient]:
    found = LlmClient(Endpoint(base_url, "m"), FAST)
    try:
        yield found
    finally:
        await found.close()


def completion(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()


@asynccontextmanager
async def raw_server(answer: Callable[[int], bytes]) -> AsyncIterator[tuple[str, list[int]]]:
    """Sends `answer(number)` for each request as it stands; empty closes. Gives URL and the requests per connection."""
    counts: list[int] = []
    total = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal total
        counts.append(0)
        mine = len(counts) - 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                await reader.readexactly(length)
                counts[mine] += 1
                total += 1
                data = answer(total)
                writer.write(data)
                await writer.drain()
                if not data or b"connection: close" in data:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", counts


def whole(body: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + head + b"content-length: %d\r\n\r\n" % len(body) + body


async def texts(base_url: str, count: int) -> list[str]:
    async with client(base_url) as found:
        return [(await found.chat(QUESTION)).text for _ in range(count)]


async def test_connections_are_kept() -> None:
    async with raw_server(lambda number: whole(completion(f"reply {number}"))) as (url, counts):
        assert await texts(url, 5) == [f"reply {number}" for number in range(1, 6)]
    assert counts == [5]


async def test_chunked_answers_are_read() -> None:
    def chunked(_number: int) -> bytes:
        body = completion("in parts")
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:30], body[30:]))
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"

    async with raw_server(chunked) as (url, counts):
        assert await texts(url, 2) == ["in parts"] * 2
    assert counts == [2]


async def test_a_server_that_closes_after_each_answer_is_fine() -> None:
    async with raw_server(lambda _: whole(completion("bye"), b"connection: close\r\n")) as (url, counts):
        assert await texts(url, 3) == ["bye"] * 3
    assert counts == [1, 1, 1]


async def test_an_answer_without_length_ends_with_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    async with raw_server(lambda _: head + completion("until the end")) as (url, _):
        assert await texts(url, 1) == ["until the end"]


async def test_compressed_answers_are_read() -> None:
    packed = gzip.compress(completion("small"))
    async with raw_server(lambda _: whole(packed, b"content-encoding: gzip\r\n")) as (url, _):
        assert await texts(url, 1) == ["small"]


async def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one() -> None:
    stale = whole(completion("STALE"))
    async with raw_server(lambda number: whole(completion(f"reply {number}")) + stale) as (url, counts):
        assert await texts(url, 3) == ["reply 1", "reply 2", "reply 3"]
    assert counts == [1, 1, 1]


async def test_informational_answers_are_skipped() -> None:
    async with raw_server(lambda _: b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole(completion("ok"))) as (url, _):
        assert await texts(url, 1) == ["ok"]


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nx", b""]
)
async def test_what_is_no_http_is_an_honest_error(garbage: bytes) -> None:
    async with raw_server(lambda _: garbage) as (url, _), client(url) as found:
        with pytest.raises(CandorError) as caught:
            await found.chat(QUESTION)
    assert caught.value.reason is Reason.ENDPOINT_UNAVAILABLE


def server_tls(certificates: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.server)
    return context


async def test_https_with_a_trusted_certificate(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    with FakeEndpoint(lambda _call: "safe", tls=server_tls(certificates)) as fake:
        assert fake.base_url.startswith("https://")
        assert await texts(fake.base_url, 2) == ["safe"] * 2


async def test_https_with_a_strangers_certificate_is_refused_and_the_mend_named(certificates: Any) -> None:
    with FakeEndpoint(lambda _call: "stolen", tls=server_tls(certificates)) as fake:
        async with client(fake.base_url) as found:
            with pytest.raises(CandorError, match="SSL_CERT_FILE") as caught:
                await found.chat(QUESTION)
        assert fake.calls == []
    assert caught.value.reason is Reason.ENDPOINT_UNAVAILABLE


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeEndpoint(lambda _call: "through the proxy") as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        assert await texts("http://model.invalid/v1", 1) == ["through the proxy"]


async def test_a_redirect_is_not_followed() -> None:
    with FakeEndpoint() as target, FakeEndpoint() as fake:
        response = Response(status=307, headers={"location": f"{target.base_url}/chat/completions"})
        fake.script(Fault(name="redirect", change=lambda _good: response))
        async with client(fake.base_url) as found:
            with pytest.raises(CandorError, match="redirect") as caught:
                await found.chat(QUESTION)
        assert target.calls == []
    assert caught.value.reason is Reason.ENDPOINT_REFUSED


async def test_each_new_connection_resolves_the_name_again() -> None:
    """A name that was harmless when checked and leads to metadata afterwards is not called (DNS rebinding)."""
    answers = iter(["127.0.0.1", "127.0.0.1", "169.254.169.254"])

    async def resolver(_host: str) -> list[Any]:
        return [ipaddress.ip_address(next(answers))]

    guard = Guard(Egress.embedded(), resolver)
    with FakeEndpoint() as fake:
        url = f"http://rebinding.test:{fake.port}/v1"
        await guard.check_url(url)
        http = Http(guard.addresses)
        found = LlmClient(Endpoint(url, "m"), FAST, http=http)
        assert (await found.chat(QUESTION)).text == "Yes."
        fake.stop()
        fake.start()
        with pytest.raises(CandorError) as caught:
            await found.chat(QUESTION)
        await http.close()
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED
