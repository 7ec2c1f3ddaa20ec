"""A document as plain values, of which its digests are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

LATER: Mapping[str, bool] = {"later": True}
"""Metadata of a field that came after documents were already under way: at its default it is left out of the plain values,
so that an upgrade does not make another document of them."""


def plain(value: Any) -> Any:
    """Dataclasses as dicts, however deep; everything else as it is."""
    if is_dataclass(value):
        found = {field: getattr(value, field.name) for field in fields(value)}
        return {
            field.name: plain(each)
            for field, each in found.items()
            if not (field.metadata == LATER and each == field.default)
        }
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
