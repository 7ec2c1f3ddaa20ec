"""What an earlier evaluation measured, as the planning section of the next one."""

from __future__ import annotations

import json
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2

from chassis.errors import CandorError, Reason


def measured(evaluation: orchestrator_pb2.Evaluation) -> evaluation_pb2.Planning:
    """Discordance, rho and judge share of the critical gate that varied most.

    Half a discordant pair is added, so that a gate without any does not promise certainty.

    Raises:
        CandorError: EVALUATION_UNFINISHED; it has no gate with two items or more.
    """
    report = json.loads(evaluation.verdict_json or "{}")
    gates = [gate for gate in report.get("gates", ()) if gate["critical"] and gate["n_items"] >= 2]
    if not gates:
        raise CandorError(
            Reason.EVALUATION_UNFINISHED,
            f"{evaluation.name} has no gate to plan from (state {evaluation.state}); name a finished one with a verdict",
        )
    widest = max(gates, key=_variance)
    return evaluation_pb2.Planning(
        discordance=round(_discordance(widest), 4),
        rho=round(_rho(widest), 3),
        judge_share=round(max(gate["judge_share"] for gate in gates), 3),
    )


def line(planning: evaluation_pb2.Planning) -> str:
    """The same as a line of a document."""
    values = (f"{name}: {getattr(planning, name):g}" for name in ("discordance", "rho", "judge_share"))
    return f"planning: {{{', '.join(values)}}}"


def _discordance(gate: dict[str, Any]) -> float:
    return float((gate["worse"] + gate["better"] + 0.5) / (gate["n_pairs"] + 1))


def _rho(gate: dict[str, Any]) -> float:
    return min(1.0, max(0.0, gate["rho"] or 0.0))


def _variance(gate: dict[str, Any]) -> float:
    cells = gate["n_pairs"] / gate["n_items"]
    return float(_discordance(gate) * (1.0 + (cells - 1.0) * _rho(gate)) / cells)
