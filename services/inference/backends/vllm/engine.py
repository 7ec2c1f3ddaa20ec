"""One vLLM server for one base: started when it is needed, watched, restarted, with adapters coming and going."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.llm.limiter import AdaptiveLimiter
from chassis.llm.wire import Http
from chassis.logs import get_logger
from chassis.text import plain
from services.inference.backends.files import Stamp, check_unchanged
from services.inference.backends.vllm.child import Child
from services.inference.backends.vllm.options import SERVED_NAME
from services.inference.ports import WholeSubjectError
from services.inference.service.prepared import Prepared

_POLL_SECONDS = 0.25
_LAST_WORDS_SECONDS = 10.0
_MOST_CRASHES = 3
_FOREIGN = (401, 403, 404, 405)  # ours knows its key, its model and this path
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter's folder and the stamps of its files."""

    path: Path
    stamps: tuple[Stamp, ...]


class Engine:
    """Supervises one server. Nothing runs before `ready` is first awaited.

    Args:
        command: Port -> command line.
        environment: Key -> environment of the process.
        http: Connections to it.
        start_seconds: From its start to its first answer.
        stop_seconds: From being asked to end to being killed.
        max_adapters: Adapters kept loaded while nobody uses them.
        max_concurrency: Requests under way at once.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        environment: Callable[[str], dict[str, str]],
        http: Http,
        *,
        start_seconds: float,
        stop_seconds: float,
        max_adapters: int,
        max_concurrency: int,
    ) -> None:
        self.adapters: Prepared[LoadedAdapter] = Prepared(max_adapters)
        self.limiter = AdaptiveLimiter(max_concurrency, max_concurrency)
        self.checking = asyncio.Lock()  # arms are checked one after the other: each would be noise to the others
        self.key = secrets.token_urlsafe(24)
        self.port = _free_port()
        self.restarts = 0
        self._command = command
        self._environment = environment
        self._http = http
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._loaded: dict[str, Path] = {}
        self._numbers = 0
        self._crashes = 0  # since the last answer
        self._child: Child | None = None
        self._up: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it answers, the version included."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def failed(self) -> bool:
        """Whether it will not come back: a new engine has to be made."""
        return self._up is not None and self._up.done() and self._up.exception() is not None

    @property
    def pid(self) -> int | None:
        """Process group of the running server."""
        return self._child.pid if self._child else None

    async def ready(self) -> None:
        """Return once it answers; starts it if need be. Raises WholeSubjectError when it cannot."""
        if self._running is None:
            self._up = _future()
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(self._left_alone)
        assert self._up is not None, "set with the task"
        await asyncio.shield(self._up)

    async def settled(self) -> None:
        """After a failed request: return once it answers again. Raises WholeSubjectError when it does not."""
        while True:
            await self.ready()
            if await self._healthy():
                return
            await asyncio.sleep(_POLL_SECONDS)

    def answered(self) -> None:
        """A reply came: earlier crashes do not count any more."""
        self._crashes = 0

    async def load(self, adapter: Adapter) -> LoadedAdapter:
        """Load an adapter at run time. Raises CandorError ADAPTER_MISMATCH, BAD_CHECKPOINT or IDENTITY_CHANGED."""
        await self.ready()
        self._numbers += 1
        name = f"adapter-{self._numbers}"  # never used twice: caches inside the engine go by name
        check_unchanged(adapter.stamps, "model.checkpoint.adapter")
        await self._load(name, adapter.path)
        check_unchanged(adapter.stamps, "model.checkpoint.adapter")
        self._loaded[name] = adapter.path
        return LoadedAdapter(engine=self, name=name)

    async def unload(self, name: str) -> None:
        """Let go of an adapter; that it is gone already is fine."""
        self._loaded.pop(name, None)
        if self._up is not None and self._up.done() and not self.failed:
            await self._post("/unload_lora_adapter", {"lora_name": name})

    async def close(self) -> None:
        """End the server and everything it started."""
        self._loaded.clear()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        if self._up is not None and not self._up.done():
            self._up.set_exception(WholeSubjectError(Reason.SERVICE_UNAVAILABLE, "the engine was ended"))

    async def _run(self) -> None:
        log = get_logger("vllm")
        while True:
            self._child = child = await Child.start(
                self._command(self.port), self._environment(self.key), self._stop_seconds
            )
            assert self._up is not None, "set before the task starts"
            try:
                error = await self._start(child)
                if error is None:
                    self._up.set_result(None)
                    log.info("engine_ready", port=self.port, restarts=self.restarts)
                    await child.ended()
                    self._up = _future()
            finally:
                await child.stop()
                self._child = None
            self._crashes += 1
            if error is None and self._crashes >= _MOST_CRASHES:
                message = f"vLLM died {self._crashes} times without an answer in between: {child.why()}"
                error = WholeSubjectError(Reason.ENDPOINT_UNAVAILABLE, message)
            if error is not None:
                log.error("engine_failed", why=error.message, log=child.tail())
                self._up.set_exception(error)
                return
            self.restarts += 1
            log.warning("engine_restarts", why=child.why(), log=child.tail())
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, 2.0 ** (self._crashes - 1)))

    def _left_alone(self, running: asyncio.Task[None]) -> None:
        """Whatever ended the supervision, no memory for a process for example, is the answer to all who wait."""
        if running.cancelled() or (error := running.exception()) is None:
            return
        why = plain(str(error)) or type(error).__name__
        message = f"vLLM's process could not be started or watched: {why}"
        if self._up is None or self._up.done():
            self._up = _future()
        self._up.set_exception(WholeSubjectError(Reason.ENDPOINT_UNAVAILABLE, message))
        get_logger("vllm").error("engine_failed", why=message)

    async def _start(self, child: Child) -> WholeSubjectError | None:
        """Wait for the first answer and bring back the adapters; what went wrong, if anything did."""
        ended = asyncio.create_task(child.ended())
        try:
            async with asyncio.timeout(self._start_seconds):
                while not await self._healthy():
                    await asyncio.wait([ended], timeout=_POLL_SECONDS)
                    if ended.done():
                        return _unfit(child)
                status = await self._hello()
                if status in _FOREIGN:
                    message = f"another program answers on port {self.port}, which vLLM was to take; ask again"
                    return WholeSubjectError(Reason.ENDPOINT_UNAVAILABLE, message)
                if not 0 < status < 500:  # a template may refuse the question
                    await asyncio.wait([ended], timeout=_LAST_WORDS_SECONDS)
                    return _unfit(child)
                for name, path in list(self._loaded.items()):
                    await self._load(name, path)
        except TimeoutError:
            message = f"vLLM did not answer within {self._start_seconds:.0f} s; its last words: {child.why()}"
            return WholeSubjectError(Reason.ENDPOINT_TIMEOUT, message)
        except CandorError as error:
            return WholeSubjectError(error.reason, error.message)
        finally:
            ended.cancel()
        return None

    async def _hello(self) -> int:
        """Ask for one token: a model that its kernels do not support loads well and dies at its first step."""
        hello = [{"role": "user", "content": "Hello."}]
        status, _ = await self._post(
            "/chat/completions", {"model": SERVED_NAME, "messages": hello, "max_tokens": 1, "temperature": 0}
        )
        return status

    async def _healthy(self) -> bool:
        import httpx2

        try:
            async with asyncio.timeout(10):
                answer = await self._http.client(self.url).get(self.url.removesuffix("/v1") + "/health")
        except (httpx2.HTTPError, TimeoutError):
            return False
        return bool(answer.status_code == 200)

    async def _load(self, name: str, path: Path) -> None:
        status, text = await self._post("/load_lora_adapter", {"lora_name": name, "lora_path": str(path)})
        if status == 200:
            return
        where = "model.checkpoint.adapter"
        if "target modules" in text:
            message = f"{where}: its modules are not those of its base; name the base that it was trained on in path"
            raise CandorError(Reason.ADAPTER_MISMATCH, message)
        raise CandorError(Reason.BAD_CHECKPOINT, f"{where}: vLLM cannot load it: {plain(text)}")

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        import httpx2

        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            async with asyncio.timeout(self._start_seconds):
                answer = await self._http.client(self.url).post(self.url + path, json=body, headers=headers)
        except (httpx2.HTTPError, TimeoutError) as error:
            return 0, f"no answer ({type(error).__name__})"
        return int(answer.status_code), str(answer.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedAdapter:
    """An adapter in an engine; `name` is the model that requests ask for."""

    engine: Engine
    name: str

    async def close(self) -> None:
        """Unload it."""
        await self.engine.unload(self.name)


def _unfit(child: Child) -> WholeSubjectError:
    return WholeSubjectError(Reason.BAD_CHECKPOINT, f"vLLM could not start with this checkpoint: {child.why()}")


def _future() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting
    return future


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
