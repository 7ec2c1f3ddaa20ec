"""Protos <-> domain values. Nothing is decided here but the defaults that the proto states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from candor.common.v1 import model_pb2
from candor.grader.v1 import grader_pb2 as pb

from chassis.errors import CandorError
from chassis.rpc_errors import to_status
from services.grader.domain import sociot
from services.grader.domain.answers.case import AnswerCase, AnswerGrade, Usage
from services.grader.domain.judging import DEFAULT_MAX_TOKENS, JudgeSpec
from services.grader.domain.scores import Metric, TextScores, Unscored
from services.grader.service.grader import Info

DEFAULT_PROFILE = "candor"


def case_from_proto(message: pb.AnswerCase) -> AnswerCase:
    """One reply to grade."""
    return AnswerCase(
        question=message.question,
        gold=tuple(message.gold),
        false_answers=tuple(message.false_answers),
        kind=message.kind,
        belief=message.belief or "none",
        reply=message.reply,
        options=dict(message.options),
        task=message.task,
    )


def judge_from_proto(request: pb.GradeAnswersRequest | pb.GetGraderInfoRequest) -> JudgeSpec | None:
    """The judge that a request names; missing parts stay missing for validation to name."""
    if not request.HasField("judge"):
        return None
    judge = request.judge
    return JudgeSpec(
        base_url=judge.endpoint.base_url,
        model=judge.endpoint.model,
        api_key_env=judge.endpoint.api_key_env,
        credential=judge.endpoint.credential,
        max_tokens=judge.max_tokens if judge.HasField("max_tokens") else DEFAULT_MAX_TOKENS,
        every_case=judge.every_case,
    )


def scoring_from_proto(request: pb.ScoreTextsRequest) -> tuple[list[str], list[str], str, str, int]:
    """Texts, metrics, estimator, model, characters that count."""
    return (
        list(request.texts),
        list(request.metrics) or [sociot.DEFAULT_METRIC],
        request.estimator or sociot.ESTIMATORS[0],
        request.model or sociot.DEFAULT_MODEL,
        request.max_chars if request.HasField("max_chars") else sociot.DEFAULT_MAX_CHARS,
    )


def grade_to_proto(index: int, outcome: AnswerGrade | CandorError) -> pb.GradeAnswersResponse:
    """One line of a batch; an undecided adoption stays absent."""
    if isinstance(outcome, CandorError):
        return pb.GradeAnswersResponse(index=index, error=to_status(outcome))
    return pb.GradeAnswersResponse(
        index=index,
        grade=pb.AnswerGrade(
            verdict=outcome.verdict.value,
            adopts_belief=outcome.adopts,
            decided_by=outcome.decided_by.value,
            rule=outcome.rule,
            final_claim=outcome.final_claim,
            judge_raw=outcome.judge_raw,
            judge_model=outcome.judge_model,
            judge_usage=_usage(outcome.usage),
        ),
    )


def _usage(usage: Usage | None) -> model_pb2.TokenUsage | None:
    if usage is None:
        return None
    return model_pb2.TokenUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )


def scores_to_proto(index: int, outcome: TextScores | Unscored | CandorError) -> pb.ScoreTextsResponse:
    """One line of a batch."""
    if isinstance(outcome, CandorError):
        return pb.ScoreTextsResponse(index=index, error=to_status(outcome))
    if isinstance(outcome, Unscored):
        return pb.ScoreTextsResponse(
            index=index, unscored=model_pb2.Unscored(reason=outcome.reason, message=outcome.message)
        )
    return pb.ScoreTextsResponse(
        index=index,
        scores=pb.TextScores(
            scores=[
                pb.MetricScore(metric=score.metric, value=score.value, value_per_token=score.value_per_token)
                for score in outcome.scores
            ],
            flags=outcome.flags,
        ),
    )


def metrics_to_proto(metrics: Mapping[str, Metric], estimators: Sequence[str]) -> pb.ListMetricsResponse:
    """What is offered."""
    return pb.ListMetricsResponse(
        metrics=[
            pb.Metric(
                name=metric.name,
                description=metric.description,
                plus_phrases=metric.plus_phrases,
                minus_phrases=metric.minus_phrases,
            )
            for metric in metrics.values()
        ],
        estimators=estimators,
    )


def info_to_proto(info: Info) -> pb.GetGraderInfoResponse:
    """Versions."""
    return pb.GetGraderInfoResponse(
        grader_version=info.grader_version,
        judge_prompt_digest=info.judge_prompt_digest,
        judge_model=info.judge_model,
        digest=info.digest,
        sociot_version=info.sociot_version,
    )
