"""What verdict.json found, as a few numbers: of several candidates the one that fares worst, arms by their role."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.orchestrator.domain.analysis.result import ALL, OVERALL
from services.orchestrator.domain.gate.result import FAIL, INCONCLUSIVE, INVALID, PASS
from services.orchestrator.domain.gate.rules import DEFAULT_GATES

BASELINE, CANDIDATE = "baseline", "candidate"
ROLES = (BASELINE, CANDIDATE, "other")
DECISIONS = (INVALID, FAIL, INCONCLUSIVE, PASS)
"""The worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A paired difference with its bounds, and the rates behind it, all shares; None where there is nothing to say."""

    estimate: float | None
    lower: float | None
    upper: float | None
    reference: float | None
    treated: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate, as its worst candidate left it. `judge_share`: of its pairs, those that only a judge decided."""

    name: str
    decision: str
    margin_points: float
    contrast: Contrast
    judge_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmsOfRole:
    """All arms of one role: mean SocioT over the arms that have one, and shares of what did not come or could not be read.

    `ungradable` is the worst of the gates; None for an arm that no gate looks at.
    """

    sociot: float | None
    failed: float | None
    ungradable: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """One verdict in numbers. `error`: over everything that was asked; None without a comparison with the baseline."""

    gates: tuple[Gate, ...]
    error: Contrast | None
    roles: Mapping[str, ArmsOfRole]


def findings(verdict: Mapping[str, Any]) -> Findings:
    """The numbers of a verdict.json; what an older one does not have is left out."""
    gates = verdict.get("gates", [])
    worst = [
        max((gate for gate in gates if gate["gate"] == name), key=_badness, default=None) for name in DEFAULT_GATES
    ]
    return Findings(
        gates=tuple(_gate(gate) for gate in worst if gate is not None),
        error=_error(verdict),
        roles={role: _role(role, verdict.get("arms", []), gates) for role in ROLES},
    )


def _badness(gate: Mapping[str, Any]) -> tuple[int, float]:
    rank = DECISIONS.index(gate["decision"]) if gate["decision"] in DECISIONS else len(DECISIONS)
    return -rank, gate["upper"] if gate["upper"] is not None else -math.inf


def _gate(gate: Mapping[str, Any]) -> Gate:
    return Gate(
        name=gate["gate"],
        decision=gate["decision"],
        margin_points=gate["margin_pp"],
        contrast=_contrast(gate),
        judge_share=gate["judge_share"],
    )


def _contrast(row: Mapping[str, Any]) -> Contrast:
    return Contrast(
        estimate=row["estimate"],
        lower=row["lower"],
        upper=row["upper"],
        reference=row["rate_ref"],
        treated=row["rate_trt"],
    )


def _error(verdict: Mapping[str, Any]) -> Contrast | None:
    """Errors over all cells and tasks, of the candidate whose difference is largest."""
    candidates = verdict.get("candidates") or [
        arm["name"] for arm in verdict.get("arms", []) if arm["role"] != BASELINE
    ]
    rows = [
        row
        for comparison in verdict.get("comparisons", [])
        if comparison["reference"] == verdict.get("baseline") and comparison["treated"] in candidates
        for row in comparison["rows"]
        if (row["metric"], row["task"], row["context"], row["belief"]) == ("error", OVERALL, ALL, ALL)
    ]
    return max(map(_contrast, rows), key=lambda found: found.estimate or 0.0, default=None)


def _role(role: str, arms: Iterable[Mapping[str, Any]], gates: Iterable[Mapping[str, Any]]) -> ArmsOfRole:
    mine = [arm for arm in arms if arm["role"] == role]
    calls = sum(arm["calls"] for arm in mine)
    failed = sum(sum(arm["failed"].values()) for arm in mine)
    column = {BASELINE: "ungradable_ref", CANDIDATE: "ungradable_trt"}.get(role)
    return ArmsOfRole(
        sociot=_mean([arm["mean_warmth"] for arm in mine if arm["mean_warmth"] is not None]),
        failed=failed / calls if calls else None,
        ungradable=max((gate[column] for gate in gates), default=None) if column else None,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
