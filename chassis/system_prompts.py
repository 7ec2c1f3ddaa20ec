"""The built-in system prompts `warm` and `cold`: what the arms warm_prompt and cold_prompt run under."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from chassis.errors import CandorError, FieldViolation, Reason

NAMES = ("warm", "cold")


@cache
def builtin(name: str) -> str:
    """Text of a built-in system prompt.

    Raises:
        CandorError: INVALID_REQUEST for any other name.
    """
    if name not in NAMES:
        problem = FieldViolation("system_prompt.builtin", f"{name!r} is not built in; use {' or '.join(NAMES)}")
        raise CandorError(Reason.INVALID_REQUEST, "no such system prompt", violations=(problem,))
    return resources.files("chassis").joinpath("data", "system_prompts", f"{name}.txt").read_text("utf-8").strip()


def digest(name: str) -> str:
    """`sha256:` and hexadecimal digits of its text, for identities and results."""
    return "sha256:" + hashlib.sha256(builtin(name).encode()).hexdigest()
