"""Traces of a command: `CANDOR_TRACING_ENDPOINT` names the collector."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import ValidationError

from chassis.errors import CandorError, Reason
from chassis.tracing import Tracer, TracingSettings

VARIABLE = "CANDOR_TRACING_ENDPOINT"


def tracing() -> TracingSettings:
    """What the environment says. Raises CandorError INVALID_REQUEST."""
    try:
        return TracingSettings(endpoint=os.environ.get(VARIABLE, ""))
    except ValidationError as error:
        raise CandorError(
            Reason.INVALID_REQUEST, f"{VARIABLE} must be http://HOST:4317 or https://HOST:4317"
        ) from error


@asynccontextmanager
async def traced() -> AsyncIterator[None]:
    """One span for the length of the block."""
    tracer = Tracer.from_settings("cli", tracing())
    try:
        with tracer.span("candor"):
            yield
    finally:
        await tracer.close()
