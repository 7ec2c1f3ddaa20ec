"""The grader's use cases: grade answers, score texts, say what decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from chassis.errors import CandorError
from chassis.metrics import Metrics
from services.grader.domain import judging, sociot
from services.grader.domain.answers import grade as answers
from services.grader.domain.answers.case import AnswerCase, AnswerGrade
from services.grader.domain.scores import Metric, TextScores, Unscored
from services.grader.domain.validate import check_judge, check_scoring
from services.grader.ports import Judges, Scorer
from services.grader.service.counts import GradeCounts
from services.grader.service.grading import Grading


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """Versions of everything that decides a grade or a score; `digest` is over what decides a grade."""

    grader_version: str
    sociot_version: str
    judge_prompt_digest: str = ""
    judge_model: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over what decides a grade: not the scorer, whose scores have their own identity."""
        parts = [self.grader_version, self.judge_prompt_digest, self.judge_model]
        return "sha256:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class GraderService:
    """Everything that the servicer offers.

    Args:
        judges: Where judges come from.
        scorer: Scores texts.
        metrics: Items and the judge's tokens are counted here.
    """

    def __init__(self, judges: Judges, scorer: Scorer, metrics: Metrics) -> None:
        self._judges = judges
        self._scorer = scorer
        self._metrics = metrics
        self._grading = Grading(judges)
        self._counts = GradeCounts(metrics)

    async def grade(
        self, cases: Sequence[AnswerCase], judge: judging.JudgeSpec | None, profile: str
    ) -> AsyncGenerator[tuple[int, AnswerGrade | CandorError]]:
        """See `Grading.grade`."""
        with self._metrics.accepted("grade", len(cases)) as finished:
            async with aclosing(self._grading.grade(cases, judge, profile)) as outcomes:
                async for index, outcome in outcomes:
                    finished()
                    self._counts.count(outcome)
                    yield index, outcome

    async def score(
        self, texts: Sequence[str], metrics: Sequence[str], estimator: str, model: str, max_chars: int
    ) -> AsyncGenerator[tuple[int, TextScores | Unscored | CandorError]]:
        """Scores with their index as they finish. Raises CandorError for bad fields and what the scorer raises."""
        check_scoring(texts, metrics, estimator, max_chars, sociot.metrics(), sociot.ESTIMATORS)
        with self._metrics.accepted("score", len(texts)) as finished:
            async for index, outcome in self._scorer.score(texts, metrics, estimator, model, max_chars):
                finished()
                self._metrics.items.labels("score", _score_label(outcome)).inc()
                yield index, outcome

    async def info(self, judge: judging.JudgeSpec | None) -> Info:
        """Versions in force; a judge is asked one small question for its name. Raises CandorError."""
        check_judge(judge)
        return Info(
            grader_version=answers.version(),
            sociot_version=self._scorer.version(),
            judge_prompt_digest=judging.prompt_digest() if judge is not None else "",
            judge_model=await self._judges.identity(judge) if judge is not None else "",
        )

    def metrics(self) -> Mapping[str, Metric]:
        """The metrics offered, by name."""
        return sociot.metrics()

    def estimators(self) -> Sequence[str]:
        """The estimators offered."""
        return sociot.ESTIMATORS


def _score_label(outcome: TextScores | Unscored | CandorError) -> str:
    if isinstance(outcome, CandorError):
        return outcome.reason.name
    return "ok" if isinstance(outcome, TextScores) else outcome.reason
