"""The built-in styles, and the digest of any style."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache

from services.rewriter.domain import data
from services.rewriter.domain.values import Style

BUILTIN = ("warm", "cold", "untransformed")
DIRECTIONS = ("warmer", "colder", "same")


@cache
def builtin(name: str) -> Style:
    """A built-in style; for another name one without a name that validation refuses."""
    if name not in BUILTIN:
        return Style(name="", builtin=True)
    table = data.table(f"styles/{name}.json")
    return Style(
        name=table["name"],
        instruction="\n".join(table["instruction"]),
        direction=table["direction"],
        description=table["description"],
        openings=tuple(table.get("openings", ())),
        openings_for={kind: tuple(texts) for kind, texts in table.get("openings_for", {}).items()},
        closings=tuple(table.get("closings", ())),
        replacements=table.get("replacements", {}),
        removals=tuple(table.get("removals", ())),
        exclaims=table.get("exclaims", True),
        unchanged=table.get("unchanged", False),
        builtin=True,
    )


def digest(style: Style) -> str:
    """SHA-256 over everything that the style says."""
    return data.digest(json.dumps(asdict(style), sort_keys=True, ensure_ascii=False).encode())
