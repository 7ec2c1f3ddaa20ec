"""Data files that ship with the orchestrator: statements, belief templates, questions."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources


@cache
def read(*path: str) -> bytes:
    """Bytes of a file under `data/`."""
    return resources.files("services.orchestrator").joinpath("data", *path).read_bytes()


def names(*path: str) -> list[str]:
    """Sorted file names of a folder under `data/`."""
    folder = resources.files("services.orchestrator").joinpath("data", *path)
    return sorted(entry.name for entry in folder.iterdir() if entry.is_file())


def digest(*parts: bytes) -> str:
    """`sha256:` and hexadecimal digits over parts, each with its length, so that no two lists look alike."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return "sha256:" + total.hexdigest()
