"""What a style and a source resolve to: equal digests rewrite alike."""

from __future__ import annotations

import json
from collections.abc import Mapping

from services.rewriter.domain import certificate, data, styles
from services.rewriter.domain.values import Style


def components(style: Style, source: Mapping[str, str]) -> dict[str, str]:
    """By name, for the dataset card."""
    found = {
        "style": style.name,
        "style_digest": styles.digest(style),
        "direction": style.direction,
        "certificate": certificate.version(),
    }
    if not style.unchanged:  # an untransformed reply is the same whoever would have rewritten it
        found |= {f"source.{name}": value for name, value in source.items()}
    return {name: value for name, value in sorted(found.items()) if value}


def digest(parts: Mapping[str, str]) -> str:
    """`sha256:` over the components."""
    return data.digest(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode())
