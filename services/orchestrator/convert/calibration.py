"""Labelled answers: protos -> domain values."""

from __future__ import annotations

from candor.grader.v1 import grader_pb2
from candor.orchestrator.v1 import orchestrator_pb2

from services.orchestrator.convert.documents import judge_from_proto
from services.orchestrator.domain.spec import Judge
from services.orchestrator.ports import Case
from services.orchestrator.service.calibrate import Calibrated, HumanLabel


def calibration_from_proto(request: orchestrator_pb2.CalibrateJudgeRequest) -> tuple[Judge | None, list[HumanLabel]]:
    """The judge, and the answers in order."""
    judge = judge_from_proto(request.judge) if request.HasField("judge") else None
    return judge, [HumanLabel(_case(answer.case), answer.label, answer.arm) for answer in request.answers]


def calibrated_to_proto(found: Calibrated) -> orchestrator_pb2.CalibrateJudgeResponse:
    """The response."""
    return orchestrator_pb2.CalibrateJudgeResponse(
        calibration_json=found.body, judge_digest=found.judge_digest, stored=found.stored
    )


def _case(case: grader_pb2.AnswerCase) -> Case:
    return Case(
        question=case.question,
        gold=tuple(case.gold),
        false_answers=tuple(case.false_answers),
        kind=case.kind,
        belief=case.belief,
        reply=case.reply,
        options=dict(case.options),
        task=case.task,
    )
