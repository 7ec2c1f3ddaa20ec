"""The endpoint itself: refuses, misbehaves or answers, and writes down every call."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from chassis.testing.fake_endpoint.faults import Fault
from chassis.testing.fake_endpoint.http_server import HttpServer, Request, Response
from chassis.testing.fake_endpoint.traffic import Call, CallLog, LoggedCall

Answer = Callable[[Call], str]


class FakeEndpoint:
    """Answers chat completions at `base_url`.

    Attributes:
        answer: The text of a reply; change it to swap the model behind the same URL and name.
        models: Names that are served; empty serves any.
        reported_model: The name given in replies; empty repeats the request's.
        key: Required bearer token; empty requires none.
        refuses: Parameters that are refused with 400, as newer endpoints do.
        wants_max_completion_tokens: Refuse `max_tokens` in favour of `max_completion_tokens`.
        fault: Chooses a fault for a call, after the scripted ones are used up.
        in_flight: Chat calls under way now; `most_in_flight` is their peak.
    """

    def __init__(
        self,
        answer: Answer = lambda _call: "Yes.",
        *,
        models: Iterable[str] = (),
        reported_model: str = "",
        key: str = "",
        refuses: Iterable[str] = (),
        wants_max_completion_tokens: bool = False,
        fault: Callable[[Call], Fault | None] = lambda _call: None,
        log: Path | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.answer = answer
        self.models = set(models)
        self.reported_model = reported_model
        self.key = key
        self.refuses = set(refuses)
        self.wants_max_completion_tokens = wants_max_completion_tokens
        self.fault = fault
        self._tls = tls
        self.most_in_flight = 0
        self._script: deque[Fault | None] = deque()
        self._log = CallLog(log)
        self._server = HttpServer(self.handle, tls, host)
        self._released = asyncio.Event()
        self.in_flight = 0
        self._arrived = threading.Condition()

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return self._server.port

    @property
    def base_url(self) -> str:
        """URL for `endpoint.base_url`."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> list[LoggedCall]:
        """Every chat call so far, refused ones included, in order of arrival."""
        return list(self._log.calls)

    def script(self, *faults: Fault | None) -> None:
        """Faults for the next calls, one each; None is a good answer."""
        self._script.extend(faults)

    def release(self) -> None:
        """Let hanging calls go on; later ones no longer hang."""
        self._server.call_soon(self._released.set)

    def wait_for_calls(self, count: int, seconds: float = 30.0) -> None:
        """Block until so many calls have arrived. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._log.calls) >= count, seconds):
                raise TimeoutError(f"{len(self._log.calls)} of {count} calls arrived within {seconds} s")

    def start(self, port: int = 0) -> Self:
        """Listen; a port of 0 takes the one of last time, or a free one."""
        self._released = asyncio.Event()
        self._server.start(port or self._server.port)
        return self

    def stop(self) -> None:
        """Vanish: the port is closed and calls under way get no answer. `start()` brings it back at the same port."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._log.close()

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request, or refuse it."""
        path = request.path.partition("?")[0].rstrip("/")
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided", code="invalid_api_key")
        if path.endswith("/models") and request.method == "GET":
            names = sorted(self.models) or [self.reported_model or "model"]
            return Response.of({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
        if not path.endswith("/chat/completions"):
            return Response.of({"detail": "Not Found"}, 404)
        if request.method != "POST":
            return Response.of({"detail": "Method Not Allowed"}, 405)
        return self._chat(request)

    def _chat(self, request: Request) -> Response | Awaitable[Response]:
        try:
            body = json.loads(request.body)
        except ValueError:
            return _error(400, "the body is not JSON")
        call = Call(number=len(self._log.calls), body=body, headers=request.headers)
        line = self._log.asked(call)
        with self._arrived:
            self._arrived.notify_all()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        fault = self._script.popleft() if self._script else self.fault(call)
        if fault is not None and (fault.hangs or fault.delay_seconds):
            return self._late(call, line, fault)
        return self._finish(call, line, fault)

    async def _late(self, call: Call, line: LoggedCall, fault: Fault) -> Response:
        try:
            if fault.hangs:
                await self._released.wait()
            await asyncio.sleep(fault.delay_seconds)
        except asyncio.CancelledError:
            self.in_flight -= 1
            raise
        return self._finish(call, line, fault)

    def _finish(self, call: Call, line: LoggedCall, fault: Fault | None) -> Response:
        response = self._refusal(call)
        if response is None:
            good = self._completion(call)
            response = fault.change(good) if fault is not None else Response.of(good)
        self.in_flight -= 1
        self._log.answered(line, response.status)
        return response

    def _refusal(self, call: Call) -> Response | None:
        if self.models and call.model not in self.models:
            return _error(404, f"The model `{call.model}` does not exist", code="model_not_found")
        if self.wants_max_completion_tokens and "max_tokens" in call.body:
            words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
            return _error(400, words, code="unsupported_parameter", param="max_tokens")
        for name in call.body:
            if name in self.refuses:
                words = f"Unsupported value: '{name}' is not supported with this model."
                return _error(400, words, code="unsupported_value", param=name)
        return None

    def _completion(self, call: Call) -> dict[str, object]:
        text = self.answer(call)
        asked = sum(len(content.split()) for _, content in call.messages)
        return {
            "id": f"chatcmpl-{call.number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.reported_model or call.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": len(text.split()),
                "total_tokens": asked + len(text.split()),
            },
        }


def _error(status: int, message: str, *, code: str | None = None, param: str | None = None) -> Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    return Response.of(body, status)
