"""What the grader needs from the world. Backends implement these; tests bring fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from chassis.errors import CandorError
from services.grader.domain.answers.case import AnswerCase, AnswerGrade
from services.grader.domain.judging import JudgeSpec
from services.grader.domain.scores import TextScores, Unscored


class Scorer(Protocol):
    """How warm texts sound, by a causal language model."""

    def score(
        self, texts: Sequence[str], metrics: Sequence[str], estimator: str, model: str, max_chars: int
    ) -> AsyncIterator[tuple[int, TextScores | Unscored | CandorError]]:
        """Scores in the order they finish, each index once. Implemented as an async generator.

        Args:
            texts: 1 to 1,024 texts; an empty one is Unscored EMPTY_TEXT.
            metrics: Known names (validated before the call).
            estimator: `reference` or `exact` (validated before the call).
            model: Hub id or folder of a causal LM.
            max_chars: Characters of each text that count; 0 means all.

        Raises:
            CandorError: Before the first item: BACKEND_MISSING, SCORER_NOT_FOUND, PATH_NOT_ALLOWED.
        """
        ...

    def version(self) -> str:
        """Version of the computation and digest of its phrases; needs no model and no torch."""
        ...


class Judge(Protocol):
    """One LLM that decides what the deterministic grader leaves open."""

    @property
    def width(self) -> int:
        """Judgements worth having under way at once."""
        ...

    async def judge(self, case: AnswerCase) -> AnswerGrade:
        """The judge's grade; `ungradable` with its raw text where its answer cannot be read.

        Raises:
            CandorError: It did not answer; retries are over.
        """
        ...


class Judges(Protocol):
    """Judges by what a request says of them."""

    async def ready(self, spec: JudgeSpec) -> Judge:
        """A judge that has answered one probe question, now or earlier.

        Raises:
            CandorError: Not allowed, unreachable, wrong key, unknown model.
        """
        ...

    async def identity(self, spec: JudgeSpec) -> str:
        """The model name that the judge reports now; the name asked for where it reports none. Raises CandorError."""
        ...
