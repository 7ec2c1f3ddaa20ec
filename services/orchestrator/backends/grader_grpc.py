"""The Grader port over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from functools import partial

import grpc
from candor.grader.v1 import grader_pb2, grader_pb2_grpc

from chassis.errors import CandorError
from chassis.rpc_errors import from_status
from services.orchestrator.backends.inference_grpc import usage_from_proto
from services.orchestrator.backends.resend import PATIENCE, Patience, patiently, resending
from services.orchestrator.convert.models import endpoint_to_proto
from services.orchestrator.domain.spec import Judge, Warmth
from services.orchestrator.ports import Case, Grade, GraderInfo

_INFO_SECONDS = 60.0
_BATCH_SECONDS = 1800.0


class GrpcGrader:
    """Implements `ports.Grader` over one channel."""

    def __init__(self, channel: grpc.aio.Channel, patience: Patience = PATIENCE) -> None:
        self._patience = patience
        self._stub = grader_pb2_grpc.GraderServiceStub(channel)

    async def info(self, judge: Judge | None) -> GraderInfo:
        """See ports."""
        request = grader_pb2.GetGraderInfoRequest()
        if judge is not None:
            request.judge.CopyFrom(_judge(judge))
        call = partial(self._stub.GetGraderInfo, request, timeout=_INFO_SECONDS)
        response = await patiently("grader", call, self._patience)
        return GraderInfo(
            digest=response.digest,
            grader_version=response.grader_version,
            judge_prompt_digest=response.judge_prompt_digest,
            judge_model=response.judge_model,
            sociot_version=response.sociot_version,
        )

    async def grade(
        self, cases: Sequence[Case], judge: Judge | None, refusal_profile: str, *, every_case: bool = False
    ) -> AsyncIterator[tuple[int, Grade | CandorError]]:
        """See ports."""

        def call(indices: list[int]) -> AsyncIterable[grader_pb2.GradeAnswersResponse]:
            request = grader_pb2.GradeAnswersRequest(
                cases=[_case(cases[index]) for index in indices], refusal_profile=refusal_profile
            )
            if judge is not None:
                request.judge.CopyFrom(_judge(judge))
                request.judge.every_case = every_case
            return self._stub.GradeAnswers(request, timeout=_BATCH_SECONDS)

        sizes = [len(case.question) + len(case.reply) for case in cases]
        async for index, response in resending("grader", sizes, call, self._patience):
            failed = response.WhichOneof("outcome") == "error"
            yield index, from_status(response.error) if failed else grade_from_proto(response.grade)

    async def score(
        self, texts: Sequence[str], warmth: Warmth
    ) -> AsyncIterator[tuple[int, float | CandorError | None]]:
        """See ports."""

        def call(indices: list[int]) -> AsyncIterable[grader_pb2.ScoreTextsResponse]:
            request = grader_pb2.ScoreTextsRequest(
                texts=[texts[index] for index in indices],
                metrics=[warmth.metric],
                estimator=warmth.estimator,
                model=warmth.model,
            )
            return self._stub.ScoreTexts(request, timeout=_BATCH_SECONDS)

        sizes = [len(text) for text in texts]
        async for index, response in resending("grader", sizes, call, self._patience):
            outcome = response.WhichOneof("outcome")
            if outcome == "error":
                yield index, from_status(response.error)
            else:
                yield index, response.scores.scores[0].value if outcome == "scores" else None


def _judge(judge: Judge) -> grader_pb2.Judge:
    return grader_pb2.Judge(endpoint=endpoint_to_proto(judge.endpoint), max_tokens=judge.max_tokens)


def _case(case: Case) -> grader_pb2.AnswerCase:
    return grader_pb2.AnswerCase(
        question=case.question,
        gold=case.gold,
        false_answers=case.false_answers,
        kind=case.kind,
        belief=case.belief,
        reply=case.reply,
        options=case.options,
        task=case.task,
    )


def grade_from_proto(grade: grader_pb2.AnswerGrade) -> Grade:
    """A grade with presence kept."""
    return Grade(
        verdict=grade.verdict,
        adopts=grade.adopts_belief if grade.HasField("adopts_belief") else None,
        decided_by=grade.decided_by,
        rule=grade.rule,
        final_claim=grade.final_claim,
        judge_raw=grade.judge_raw,
        judge_model=grade.judge_model,
        usage=usage_from_proto(grade.judge_usage),
    )
