"""Ways in which an endpoint misbehaves. Each turns a good answer into what such endpoints really send."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis.testing.fake_endpoint.http_server import Response

Completion = dict[str, Any]


def _unchanged(completion: Completion) -> Response:
    return Response.of(completion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour: `change` makes the answer; before it, wait for seconds, or until `FakeEndpoint.release()`."""

    name: str
    change: Callable[[Completion], Response] = field(default=_unchanged)
    delay_seconds: float = 0.0
    hangs: bool = False

    @classmethod
    def status(
        cls,
        status: int,
        message: str = "",
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: str | float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """An error status with an OpenAI error body."""
        sent = dict(headers or {})
        if retry_after is not None:
            sent["retry-after"] = str(retry_after)
        body = {"error": {"message": message or f"status {status}", "type": "error", "param": param, "code": code}}
        return cls(name=f"status {status}", change=lambda _: Response.of(body, status, sent))

    @classmethod
    def rate_limited(cls, retry_after: str | float | None = None) -> Fault:
        """429."""
        return cls.status(429, "Rate limit reached", code="rate_limit_exceeded", retry_after=retry_after)

    @classmethod
    def raw(cls, body: bytes, status: int = 200) -> Fault:
        """Any bytes."""
        return cls(name="raw", change=lambda _: Response(status=status, body=body))

    @classmethod
    def hang(cls) -> Fault:
        """No answer until `release()`."""
        return cls(name="hang", hangs=True)

    @classmethod
    def delay(cls, seconds: float) -> Fault:
        """A late answer."""
        return cls(name="delay", delay_seconds=seconds)

    @classmethod
    def drop(cls, after_bytes: int = 40) -> Fault:
        """The connection ends inside the body."""
        return cls(name="drop", change=lambda good: Response(body=json.dumps(good).encode(), drop_after=after_bytes))

    @classmethod
    def cut_json(cls) -> Fault:
        """A whole answer, by its length, whose JSON stops in the middle."""

        def cut(good: Completion) -> Response:
            body = json.dumps(good).encode()
            return Response(body=body[: len(body) // 2])

        return cls(name="cut JSON", change=cut)

    @classmethod
    def no_choices(cls) -> Fault:
        """`choices: []`."""
        return cls(name="no choices", change=lambda good: Response.of({**good, "choices": []}))

    @classmethod
    def empty(cls) -> Fault:
        """Empty text with finish_reason stop."""
        return cls(name="empty", change=_choice(content="", finish="stop"))

    @classmethod
    def budget(cls) -> Fault:
        """Empty text with finish_reason length."""
        return cls(name="budget", change=_choice(content="", finish="length"))

    @classmethod
    def length(cls, characters: int = 8) -> Fault:
        """A text cut by the token limit."""
        return cls(name="length", change=_choice(finish="length", characters=characters))

    @classmethod
    def reasoning(cls, thought: str, how: str = "reasoning_content") -> Fault:
        """Reasoning in a field of its own (`reasoning`, `reasoning_content`) or as a `think` block in the text."""
        return cls(name="reasoning", change=_choice(thought=thought, how=how))

    @classmethod
    def calls_itself(cls, model: str) -> Fault:
        """Another model name in the reply."""
        return cls(name="wrong model", change=lambda good: Response.of({**good, "model": model}))


def _choice(
    content: str | None = None, finish: str = "", characters: int | None = None, thought: str = "", how: str = ""
) -> Callable[[Completion], Response]:
    def change(good: Completion) -> Response:
        value = copy.deepcopy(good)
        choice = value["choices"][0]
        message = choice["message"]
        text = message["content"] if content is None else content
        message["content"] = text if characters is None else text[:characters]
        if finish:
            choice["finish_reason"] = finish
        if how == "think":
            message["content"] = f"<think>\n{thought}\n</think>\n\n{message['content']}"
        elif how:
            message[how] = thought
        return Response.of(value)

    return change
