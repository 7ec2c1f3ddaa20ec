"""A channel whose TLS credentials change while it is open: new calls take the new ones, calls under way keep theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import grpc

from chassis.watched import Watched


class RenewingChannel(grpc.aio.Channel):
    """Stands before one channel at a time; a channel of old credentials is closed after its last call.

    Args:
        credentials: What to connect with.
        open_channel: Opens a channel with them.
    """

    def __init__(
        self,
        credentials: Watched[grpc.ChannelCredentials],
        open_channel: Callable[[grpc.ChannelCredentials], grpc.aio.Channel],
    ) -> None:
        self._credentials = credentials
        self._open = open_channel
        current, self._version = credentials.versioned()
        self._current = _Used(open_channel(current))
        self._retired: set[_Used] = set()

    def _now(self) -> _Used:
        credentials, version = self._credentials.versioned()
        if version != self._version:
            self._version = version
            self._retired = {each for each in self._retired if not each.closed}
            self._retired.add(self._current)
            self._current.retire()
            self._current = _Used(self._open(credentials))
        return self._current

    def _callable(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        def call(*request: Any, **options: Any) -> Any:
            return self._now().call(kind, args, kwargs, request, options)

        return call

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As gRPC's channel."""
        return self._callable("unary_unary", *args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As gRPC's channel."""
        return self._callable("unary_stream", *args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As gRPC's channel."""
        return self._callable("stream_unary", *args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As gRPC's channel."""
        return self._callable("stream_stream", *args, **kwargs)

    async def close(self, grace: float | None = None) -> None:
        """Close every channel, those of old credentials too."""
        for each in (self._current, *self._retired):
            await each.channel.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Of the newest channel."""
        return self._now().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Of the newest channel."""
        await self._now().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Of the newest channel."""
        await self._now().channel.channel_ready()


class _Used:
    """A channel, and how many calls are under way on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.closed = False
        self._calls = 0
        self._is_retired = False
        self._closing: asyncio.Task[None] | None = None

    def call(self, kind: str, args: Any, kwargs: Any, request: Any, options: Any) -> Any:
        started = getattr(self.channel, kind)(*args, **kwargs)(*request, **options)
        self._calls += 1
        started.add_done_callback(self._ended)
        return started

    def retire(self) -> None:
        """Close once no call is under way."""
        self._is_retired = True
        self._close_if_idle()

    def _ended(self, _call: object) -> None:
        self._calls -= 1
        if self._is_retired:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self._calls and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())

    async def _close(self) -> None:
        await self.channel.close()
        self.closed = True
