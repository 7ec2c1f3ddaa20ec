"""Flips: prompts on which exactly one of two arms is right. Which of them are worth showing first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.board import ArmBoard, Board
from services.orchestrator.domain.statistics.pairs import CORRECT, INCORRECT

DIRECTIONS = ("worse", "better")


@dataclass(frozen=True, slots=True)
class Found:
    """The flips of one direction.

    Attributes:
        count: All of them.
        slots: The first ones by score.
        scores: Of these.
    """

    count: int
    slots: tuple[int, ...]
    scores: tuple[float, ...]


def find(board: Board, treated: str, reference: str, direction: str, most: int, units: int) -> Found:
    """The flips among the first `units` units, highest score first; ties in the order of the slots.

    Args:
        board: Outcomes.
        treated: Treated arm.
        reference: Arm compared against.
        direction: `worse` (reference right, treated wrong) or `better`.
        most: Longest list returned.
        units: Units looked at.
    """
    stop = board.workload.upto(units)
    trt, ref = board.arms[treated], board.arms[reference]
    right, wrong = (ref, trt) if direction == "worse" else (trt, ref)
    hits = np.flatnonzero((right.verdict[:stop] == CORRECT) & (wrong.verdict[:stop] == INCORRECT))
    scores = _scores(right, wrong, hits)
    order = np.argsort(-scores, kind="stable")[:most]
    return Found(
        count=int(hits.size),
        slots=tuple(int(slot) for slot in hits[order]),
        scores=tuple(float(score) for score in scores[order]),
    )


def _scores(right: ArmBoard, wrong: ArmBoard, hits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Adopting the user's false belief counts most, then grades without a judge, then short replies."""
    adopted = wrong.adopts[hits] == 1
    certain = ~wrong.judged[hits] & ~right.judged[hits]
    chars = (wrong.chars[hits] + right.chars[hits]).astype(np.float64)
    return np.asarray(4.0 * adopted + 2.0 * certain + 1.0 / (1.0 + chars / 400.0))
