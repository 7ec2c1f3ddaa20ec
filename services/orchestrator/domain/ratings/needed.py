"""How many labels of answers the calibration of a judge needs, and how many answers to show people for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.orchestrator.domain.calibration import LABELS_PER_ARM

USABLE = 0.8
"""Planned share of shown answers whose label counts: the others come back unsure, or split their raters evenly."""
ANSWERS_PER_ARM = math.ceil(LABELS_PER_ARM / USABLE)
"""Answers of an arm to show, unless told otherwise."""


def counts(decided_by: str) -> bool:
    """Whether a label of such a reply counts towards a calibration: a gate is charged for what no rule decides."""
    return decided_by != "deterministic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one arm stands. Only answers that count (`counts`) are looked at.

    Attributes:
        arm: The arm.
        shown: Answers on the sheet.
        rated: Answers that somebody labelled or called unsure.
        usable: Answers with a label.
    """

    arm: str
    shown: int
    rated: int
    usable: int

    @property
    def missing(self) -> int:
        """Usable labels that a calibration still needs."""
        return max(0, LABELS_PER_ARM - self.usable)

    @property
    def unrated(self) -> int:
        """Answers that nobody has looked at."""
        return self.shown - self.rated

    @property
    def beyond(self) -> int:
        """Answers to show beyond the sheet, if labels turn out as usable as so far (at worst a tenth of them)."""
        share = max(0.1, self.usable / self.rated) if self.rated else USABLE
        return max(0, math.ceil(self.missing / share) - self.unrated)
