"""A small, fast HTTP/1.1 server for tests: keep-alive, Content-Length bodies, its own thread and event loop.

It also does what servers should not: hang, drop the connection in the middle of a body, lie about its length.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

_MOST_HEADER_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request with its whole body. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer. `drop_after` closes the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop_after: int | None = None

    @classmethod
    def of(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """A JSON answer."""
        return cls(status=status, body=json.dumps(value, ensure_ascii=False).encode(), headers=headers or {})


Handler = Callable[[Request], Response | Awaitable[Response]]


class HttpServer:
    """Serves `handler` on a loopback port from a thread of its own. `start` and `stop` may be called from anywhere."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.port = 0
        self._host = host
        self._tls = tls
        self._handler = handler
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    def start(self, port: int = 0) -> int:
        """Listen; returns the port. Raises OSError if it is taken."""
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="fake-endpoint", daemon=True)
        self._thread.start()
        try:
            self.port = asyncio.run_coroutine_threadsafe(self._listen(port), loop).result()
        except OSError:
            self._end_loop()
            raise
        return self.port

    def stop(self) -> None:
        """Close the port and every connection; calls under way get no answer."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
            self._end_loop()

    def call_soon(self, action: Callable[[], object]) -> None:
        """Run something on the server's loop and wait for it."""
        assert self._loop is not None, "start the server first"
        done: Future[None] = Future()

        def act() -> None:
            action()
            done.set_result(None)

        self._loop.call_soon_threadsafe(act)
        done.result()

    async def _listen(self, port: int) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._handler, self._connections), self._host, port, backlog=1024, ssl=self._tls
        )
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        for _ in range(3):
            await asyncio.sleep(0)  # connections that were accepted just now become ours, to be cut below
        for connection in list(self._connections):
            connection.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close at the next turn of the loop

    def _end_loop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._server = None


class _Connection(asyncio.Protocol):
    """One connection; requests on it are answered one after the other."""

    def __init__(self, handler: Handler, all_connections: set[_Connection]) -> None:
        self._handler = handler
        self._all = all_connections
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._all.discard(self)
        self._transport = None
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._serve()

    def _serve(self) -> None:
        while self._task is None and (request := self._next_request()) is not None:
            response = self._handler(request)
            if isinstance(response, Response):
                self._send(response)
            else:
                self._task = asyncio.ensure_future(self._later(response))
                if inspect.iscoroutine(response):
                    self._task.add_done_callback(partial(_close, response))

    async def _later(self, response: Awaitable[Response]) -> None:
        try:
            self._send(await response)
        finally:
            self._task = None
        self._serve()

    def _next_request(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEADER_BYTES:
                self.abort()
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        if len(self._buffer) < end + 4 + length:
            return None
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        method, _, rest = first.partition(" ")
        return Request(method=method, path=rest.partition(" ")[0], headers=headers, body=body)

    def _send(self, response: Response) -> None:
        if self._transport is None:
            return
        lines = [
            f"HTTP/1.1 {response.status} {_phrase(response.status)}",
            "content-type: application/json",
            f"content-length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
        ]
        body = response.body if response.drop_after is None else response.body[: response.drop_after]
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        if response.drop_after is not None:
            self._transport.close()


def _close(response: Coroutine[Any, Any, Response], _task: object) -> None:
    """A coroutine whose task was cancelled before its first step was never awaited, which Python warns of."""
    response.close()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Other"
