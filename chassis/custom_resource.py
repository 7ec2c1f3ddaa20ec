"""The Evaluation custom resource: its names, and which of its fields are the operator's and not the document's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GROUP = "candor.dev"
VERSION = "v1alpha1"
KIND = "Evaluation"
PLURAL = "evaluations"

OPERATOR_FIELDS = ("schedule", "time_zone", "suspend", "history_limit", "allow_underpowered", "limit")
"""Fields of `.spec` that say when and how to run the document. Every other field is a field of EvaluationSpec."""


def document_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The document in a resource's `.spec`."""
    return {name: value for name, value in spec.items() if name not in OPERATOR_FIELDS}
