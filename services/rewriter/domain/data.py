"""The data files of this service, read once."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any


def raw(name: str) -> bytes:
    """Bytes of a file in `data`."""
    return resources.files("services.rewriter").joinpath("data", *name.split("/")).read_bytes()


@cache
def table(name: str) -> dict[str, Any]:
    """A JSON file in `data`."""
    found: dict[str, Any] = json.loads(raw(name))
    return found


def digest(*parts: bytes) -> str:
    """`sha256:` over parts; where one ends and the next begins counts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return f"sha256:{total.hexdigest()}"
