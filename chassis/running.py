"""Run a service for the length of a block: the server that pods run, on a free loopback port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chassis.serving import Service, serve
from chassis.settings import ServerSettings


@asynccontextmanager
async def running(service: Service, settings: ServerSettings) -> AsyncIterator[str]:
    """Serve `service` inside the block; gives its address (`host:port`). Leaving the block drains and closes it."""
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(serve(service, settings, started=started, stop=stop))
    either: list[asyncio.Future[Any]] = [task, started]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()  # raises what kept it from starting
    try:
        yield f"{settings.host}:{started.result()}"
    finally:
        stop.set()
        await task
