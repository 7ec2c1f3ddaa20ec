"""Which scorer a request may name: a folder inside the artifact roots, or a hub id where the settings allow the hub."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from chassis.egress import Guard
from chassis.errors import CandorError, Reason

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")


def locator(guard: Guard, *, hub: bool) -> Callable[[str], str]:
    """The function that turns a request's `model` into what is loaded.

    It raises CandorError PATH_NOT_ALLOWED, CHECKPOINT_NOT_FOUND (a folder), HOST_NOT_ALLOWED (the hub).
    """
    roots = [*guard.settings.artifact_roots, *([Path.cwd()] if guard.settings.any_path else [])]

    def locate(model: str) -> str:
        if not _HUB_ID.fullmatch(model) or any((root / model).is_dir() for root in roots):
            return str(guard.check_path(model, "model"))
        if not hub:
            message = (
                f"model: {model} is no folder inside the artifact roots, and this server does not load scorers from the hub; "
                "name a folder, or set CANDOR_GRADER_HUB=true on the server"
            )
            raise CandorError(Reason.HOST_NOT_ALLOWED, message, metadata={"model": model})
        return model

    return locate
