"""A judge's measured error: where it is kept, and what it costs in a gate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from chassis.urls import normal_url
from services.orchestrator.domain.calibration import Calibration
from services.orchestrator.domain.spec import Judge, Spec
from services.orchestrator.ports import GraderInfo, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeError:
    """What is known of a document's judge.

    Attributes:
        bias: b by candidate, as a share; only where enough replies of both arms were labelled.
        labels: Labelled replies behind it; 0 where the judge counts as uncalibrated.
    """

    bias: dict[str, float] = field(default_factory=dict)
    labels: int = 0


def judge_digest(info: GraderInfo) -> str:
    """What a calibration is stored under: the judge as it reports itself, and its prompt."""
    text = json.dumps([info.judge_model, info.judge_prompt_digest])
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def address_of(judge: Judge) -> str:
    """A second name for the same, by which a plan finds it without asking the judge who it is."""
    text = json.dumps([normal_url(judge.endpoint.base_url), judge.endpoint.model])
    return "at:" + hashlib.sha256(text.encode()).hexdigest()


def judge_error(ledger: Ledger, spec: Spec, stored_under: str) -> JudgeError:
    """The judge's error between the baseline and each candidate. Blocking.

    Args:
        ledger: Where calibrations are kept.
        spec: The document.
        stored_under: `judge_digest` of the judge as it is now, or its `address_of`.
    """
    body = ledger.calibration(stored_under) if spec.judge is not None else None
    found = json.loads(body).get("left_open") if body is not None else None
    if found is None:
        return JudgeError()
    measured = Calibration.from_json(found)
    by_candidate = {name: measured.bias(spec.baseline, name) for name in spec.gate.candidates}
    bias = {name: value for name, value in by_candidate.items() if value is not None}
    return JudgeError(bias=bias, labels=measured.overall.n if bias else 0)
