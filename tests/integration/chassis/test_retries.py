"""What a channel makes of answers that say nothing about the call itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import pytest

from chassis.clients import Target, connect

_METHOD = "/candor.test.v1.TestService/Ask"
Answering = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def answering() -> Answering:
    """A server that answers the first calls with these codes, and then as it should."""

    @asynccontextmanager
    async def serving(*codes: grpc.StatusCode) -> AsyncIterator[str]:
        left = list(codes)

        async def ask(request: bytes, context: Any) -> bytes:
            if left:
                await context.abort(left.pop(0))
            return request

        server = grpc.aio.server()
        handler = {"Ask": grpc.unary_unary_rpc_method_handler(ask)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("candor.test.v1.TestService", handler),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(None)

    return serving


async def ask(address: str) -> bytes:
    async with connect(Target(address)) as channel:
        answer: bytes = await channel.unary_unary(_METHOD)(b"hello", timeout=20)
        return answer


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_call_that_a_stopping_server_did_not_begin_is_made_again(
    answering: Answering, code: grpc.StatusCode
) -> None:
    async with answering(code, code) as address:
        assert await ask(address) == b"hello"


async def test_a_server_that_keeps_refusing_is_believed(answering: Answering) -> None:
    async with answering(*[grpc.StatusCode.UNAVAILABLE] * 10) as address:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(address)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_other_answers_are_believed_at_once(answering: Answering) -> None:
    async with answering(grpc.StatusCode.INTERNAL) as address:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(address)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
