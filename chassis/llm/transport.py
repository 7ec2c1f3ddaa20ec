"""HTTP/1.1 straight on asyncio and h11, as a transport of httpx: keep-alive, one request at a time per connection.

Why not httpx's own: at 32 requests under way its pool and stream layers took half of the time of a call. And names are
resolved here, by a function that refuses metadata addresses, so that no name can be checked under one address and
called under another. What this leaves out (proxies, HTTP/2) goes through httpx's own transport, see `wire`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import h11
import httpx2

from chassis.addresses import Resolver

_MOST_BODY_BYTES = 64 * 2**20
_KEEP_SECONDS = 30.0


class DirectTransport(httpx2.AsyncBaseTransport):
    """Connections by origin, the last used first.

    Args:
        addresses: The addresses of a host; raises CandorError when it may not be called.
        connect_seconds: For connecting, TLS included.
        tls: Which certificates are trusted.
    """

    def __init__(self, addresses: Resolver, connect_seconds: float, tls: ssl.SSLContext) -> None:
        self._addresses = addresses
        self._connect_seconds = connect_seconds
        self._tls = tls
        self._idle: dict[tuple[str, str, int], list[_Connection]] = {}
        self._open: set[_Connection] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read the whole answer. Raises httpx2.ConnectError, ConnectTimeout or RemoteProtocolError."""
        url = request.url
        origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        message = h11.Request(method=request.method, target=url.raw_path, headers=request.headers.raw)
        body = await request.aread()
        while True:
            connection, fresh = await self._take(origin)
            try:
                status, headers, content = await connection.exchange(message, body)
            except _StaleError as error:
                if fresh:
                    raise httpx2.RemoteProtocolError(str(error), request=request) from error
                continue  # the server closed an idle connection just now; a new one tells whether it is still there
            except h11.RemoteProtocolError as error:
                raise httpx2.RemoteProtocolError(str(error), request=request) from error
            finally:
                self._give_back(origin, connection)
            return httpx2.Response(status, headers=headers, content=content, request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()
        self._open.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # transports close at the next turn of the loop

    async def _take(self, origin: tuple[str, str, int]) -> tuple[_Connection, bool]:
        idle = self._idle.setdefault(origin, [])
        oldest = asyncio.get_running_loop().time() - _KEEP_SECONDS
        while idle:
            connection = idle.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection, False
            self._drop(connection)
        connection = await self._connect(*origin)
        self._open.add(connection)
        return connection, True

    def _give_back(self, origin: tuple[str, str, int], connection: _Connection) -> None:
        if connection.usable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle[origin].append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        connection.close()
        self._open.discard(connection)

    async def _connect(self, scheme: str, host: str, port: int) -> _Connection:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"ssl": self._tls, "server_hostname": host} if scheme == "https" else {}
        failure: OSError = OSError("no address")
        try:
            async with asyncio.timeout(self._connect_seconds):
                for address in await self._addresses(host):
                    try:
                        _, connection = await loop.create_connection(_Connection, str(address), port, **options)
                    except OSError as error:
                        failure = error
                    else:
                        return connection
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("connecting took too long") from error
        raise httpx2.ConnectError(str(failure)) from failure


class _StaleError(Exception):
    """The server closed the connection before the first byte of an answer."""


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._state = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._more: asyncio.Future[None] | None = None
        self._lost = False
        self._received = 0

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return not self._lost and self._state.our_state is h11.IDLE and self._state.their_state is h11.IDLE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._more is None:  # nobody asked
            self.close()
            return
        self._received += len(data)
        self._state.receive_data(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._lost = True
        self._wake()

    def close(self) -> None:
        """Close at once."""
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, request: h11.Request, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Send a request; (status, headers, body) of its answer. Left half-way, the connection is closed."""
        try:
            return await self._exchange(request, body)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, request: h11.Request, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        assert self._transport is not None
        state = self._state
        self._received = 0
        out = state.send(request) or b""
        if body:
            out += state.send(h11.Data(data=body)) or b""
        out += state.send(h11.EndOfMessage()) or b""
        self._more = asyncio.get_running_loop().create_future()
        self._transport.write(out)
        head: h11.Response | None = None
        parts: list[bytes] = []
        while True:
            event = state.next_event()
            if event is h11.NEED_DATA:
                await self._wait()
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the server speaks another protocol")
        assert head is not None
        self._more = None
        surplus, _ = state.trailing_data  # bytes that nobody asked for must not answer the next request
        if not surplus and state.our_state is h11.DONE and state.their_state is h11.DONE:
            state.start_next_cycle()
        else:
            self.close()
        return head.status_code, head.headers.raw_items(), b"".join(parts)

    async def _wait(self) -> None:
        if self._lost:
            if not self._received:
                raise _StaleError("the server closed the connection without an answer")
            self._state.receive_data(b"")  # h11 now says whether the answer was whole
            return
        if self._received > _MOST_BODY_BYTES:
            raise h11.RemoteProtocolError("the answer is too large")
        assert self._more is not None
        await self._more
        self._more = asyncio.get_running_loop().create_future()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
