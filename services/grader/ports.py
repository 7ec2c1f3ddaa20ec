"""What the grader needs from the world. Backends implement these; tests bring fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from chassis.errors import CandorError
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
