"""Structured logs with a request id. Prompts, replies and keys are never logged: only sizes, digests and reasons."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

request_id: ContextVar[str] = ContextVar("request_id", default="")
caller: ContextVar[str] = ContextVar("caller", default="")
"""Who makes the call that is being answered; empty where callers have no names."""


@contextmanager
def about(request: str) -> Iterator[None]:
    """Logs and calls of the block carry this request id."""
    token = request_id.set(request)
    try:
        yield
    finally:
        request_id.reset(token)


def configure(fmt: str, level: str) -> None:
    """Set up structlog for this process; `fmt` is `console` or `json`."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if fmt == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_call,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger bound to its component's name.

    A process that never called `configure` gets warnings on standard error: structlog's own default would print the
    local variables of tracebacks, and with them prompts and keys.
    """
    if not structlog.is_configured():
        configure("console", "WARNING")
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return logger


def _with_call(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for name, variable in (("request_id", request_id), ("caller", caller)):
        if current := variable.get():
            event.setdefault(name, current)
    return event
