"""verdict.json: the report for machines. Keys keep their meaning while `schema` stays the same."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from services.orchestrator.domain.report import Report

SCHEMA = 1
_FLIPS = 50


def verdict_json(report: Report) -> str:
    """The report as JSON, keys in the order of its fields.

    Flips are cut to the first 50 of each direction; all of them are in results/responses.parquet. Numbers that are not
    finite become null. Without spaces: the tables of a full factorial are megabytes, and they travel in one message.
    """
    value = asdict(report)
    value["flips"] = _first(value["flips"])
    value["flip_counts"] = [
        {"candidate": candidate, "direction": direction, "count": count}
        for (candidate, direction), count in sorted(report.flip_counts.items())
    ]
    return json.dumps({"schema": SCHEMA, **finite(value)}, ensure_ascii=False, separators=(",", ":"))


def _first(flips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    counts: dict[tuple[str, str], int] = {}
    for flip in flips:
        key = (flip["candidate"], flip["direction"])
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= _FLIPS:
            kept.append(flip)
    return kept


def finite(value: Any) -> Any:
    """The same value with null for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
