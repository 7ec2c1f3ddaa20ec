"""The server on a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from chassis.testing.fake_kubernetes.access import Account, Accounts
from chassis.testing.fake_kubernetes.application import Application
from chassis.testing.fake_kubernetes.faults import Faults, Refusal


class FakeKubernetes:
    """An API server on loopback, for the length of a `with` block.

    Attributes:
        port: Where it listens.
        faults: What is wrong with it now.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.faults = Faults([])
        self._accounts = Accounts()
        self._loop = asyncio.new_event_loop()
        self._application: Application | None = None
        self._started: Future[int] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fake-kubernetes", daemon=True)

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[str]:
        """Method and path of every request so far."""
        return list(self._served.calls)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def kubeconfig(self, path: Path, *, token: str = "", namespace: str = "default") -> Path:
        """Write a file for clients; gives its path. JSON is YAML."""
        user = {"token": token} if token else {}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
                    "users": [{"name": "fake", "user": user}],
                    "contexts": [
                        {"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": namespace}}
                    ],
                }
            ),
            encoding="utf-8",
        )
        return path

    def account(self, token: str, account: Account) -> None:
        """From now on callers need a token; this one is `account`."""
        self._on_loop(lambda: self._accounts.by_token.update({token: account}))

    def forget(self, token: str) -> None:
        """A token is not valid any more."""
        self._on_loop(lambda: self._accounts.by_token.pop(token))

    def refuse(self, code: int, **how: Any) -> None:
        """Refuse the next requests; see `Refusal`."""
        self._on_loop(lambda: self.faults.refusals.append(Refusal(code, **how)))

    def drop_watches(self) -> None:
        """End all watches that run, without a word."""
        self._on_loop(self._served.cut_watches)

    def compact(self) -> None:
        """Forget the history: who watches on from before gets 410 Gone."""
        self._on_loop(self._served.store.compact)

    def bookmarks(self, every: float) -> None:
        """Seconds without a change after which a watch gets a bookmark."""
        self._on_loop(lambda: setattr(self._served, "bookmark_every", every))

    def log(self, namespace: str, pod: str, text: str) -> None:
        """Set the log of a Pod's container."""
        self._on_loop(lambda: self._served.logs.update({(namespace, pod): text}))

    @property
    def _served(self) -> Application:
        assert self._application is not None, "the server was not started"
        return self._application

    def _on_loop(self, action: Callable[[], object]) -> None:
        """Do something on the server's loop, where no request is half done, and wait for it."""
        done: Future[None] = Future()

        def run() -> None:
            action()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._application = Application(self.faults, self._accounts)
        served = web.Application(client_max_size=4 << 20)
        served.router.add_route("*", "/{path:.*}", self._application.handle)
        runner = web.AppRunner(served, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self._started.set_result(int(runner.addresses[0][1]))
        await self._stop.wait()
        self._application.cut_watches()
        await runner.cleanup()
