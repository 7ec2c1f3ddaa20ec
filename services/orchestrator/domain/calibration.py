"""How well a judge agrees with people: agreement, kappa, confusion, error by arm, and what it may cost in the gate.

The allowance b of METHOD section 8 is an upper bound on how much more lenient the judge is towards one arm than towards
another. Leniency towards an arm is how far the share of replies that the judge calls incorrect (or refusals: whichever is
the worse) falls short of the share that people do. Replies that it left ungradable are no leniency: their pairs drop out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy.special import ndtri

from services.orchestrator.domain.statistics.proportions import Rate, wilson

LABELS = ("correct", "incorrect", "refusal")
VERDICTS = (*LABELS, "ungradable")
OUTCOMES = ("incorrect", "refusal")
"""What a gate may count as y = 1."""
LABELS_PER_ARM = 200
"""Labels that an arm needs before its judge counts as calibrated (METHOD section 8)."""


class Labelled(NamedTuple):
    """One reply that a person labelled and the judge graded; `arm` empty where it is not known."""

    label: str
    verdict: str
    arm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Cohen's kappa with its two-sided 95 % interval; None where chance agreement is 1 (one class only)."""

    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Judge against people on one set of replies.

    Attributes:
        n: Replies.
        agreement: Share with the same verdict.
        error: Share with another one; ungradable counts as another.
        kappa: Agreement beyond chance.
        confusion: Counts by label, then verdict.
        leniency: By outcome (`incorrect`, `refusal`): people's share minus the judge's, and its standard error.
    """

    n: int
    agreement: Rate
    error: Rate
    kappa: Kappa
    confusion: Mapping[str, Mapping[str, int]]
    leniency: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A judge's measured error, overall and by arm."""

    overall: Agreement
    arms: Mapping[str, Agreement]

    def usable(self, baseline: str, candidate: str) -> bool:
        """Whether both arms have labels enough to bound the difference of the judge's error between them."""
        return all(arm in self.arms and self.arms[arm].n >= LABELS_PER_ARM for arm in (baseline, candidate))

    def bias(self, baseline: str, candidate: str, alpha: float = 0.05) -> float | None:
        """b: one-sided upper bound on the judge's extra leniency towards the candidate, as a share of what it decides.

        Never below zero: a judge that is harder on the candidate earns no credit. None until `usable`.
        """
        if not self.usable(baseline, candidate):
            return None
        bounds = [0.0]
        for outcome in OUTCOMES:
            treated, treated_se = self.arms[candidate].leniency[outcome]
            reference, reference_se = self.arms[baseline].leniency[outcome]
            spread = math.hypot(treated_se, reference_se)
            bounds.append(treated - reference + float(ndtri(1.0 - alpha)) * spread)
        return max(bounds)

    def to_json(self) -> dict[str, Any]:
        """The content of calibration.json; `from_json` reads it."""
        return {"overall": _to_json(self.overall), "arms": {arm: _to_json(part) for arm, part in self.arms.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """The calibration whose `to_json` this is."""
        return calibrate([*_rows(value["arms"]), *_rows({"": {"confusion": _rest(value)}})])


def calibrate(labelled: Iterable[Labelled | tuple[str, str, str]]) -> Calibration:
    """Measure a judge.

    Args:
        labelled: (label, verdict, arm) of each reply.

    Raises:
        ValueError: No reply, or a label or verdict that there is not.
    """
    rows = [Labelled(*row) for row in labelled]
    if not rows:
        raise ValueError("no labelled replies")
    for row in rows:
        if row.label not in LABELS:
            raise ValueError(f"label {row.label!r} is not one of {', '.join(LABELS)}")
        if row.verdict not in VERDICTS:
            raise ValueError(f"verdict {row.verdict!r} is not one of {', '.join(VERDICTS)}")
    arms = sorted({row.arm for row in rows if row.arm})
    return Calibration(
        overall=_agreement(rows), arms={arm: _agreement([row for row in rows if row.arm == arm]) for arm in arms}
    )


def _agreement(rows: Sequence[Labelled]) -> Agreement:
    n = len(rows)
    confusion = {label: dict.fromkeys(VERDICTS, 0) for label in LABELS}
    for row in rows:
        confusion[row.label][row.verdict] += 1
    same = sum(confusion[label][label] for label in LABELS)
    graded = [row for row in rows if row.verdict != "ungradable"]
    return Agreement(
        n=n,
        agreement=wilson(same / n, n),
        error=wilson((n - same) / n, n),
        kappa=_kappa(confusion, n),
        confusion=confusion,
        leniency={outcome: _leniency(graded, outcome) for outcome in OUTCOMES},
    )


def _leniency(rows: Sequence[Labelled], outcome: str) -> tuple[float, float]:
    """Mean and standard error of label minus verdict.

    Two pseudo-rows, +1 and -1 as in METHOD section 8, keep the error above zero where judge and people never differ.
    """
    lenient = sum(row.label == outcome != row.verdict for row in rows)
    severe = sum(row.label != outcome == row.verdict for row in rows)
    n = len(rows) + 2
    center = (lenient - severe) / n
    same = n - lenient - severe - 2
    squares = (lenient + 1) * (1 - center) ** 2 + (severe + 1) * (1 + center) ** 2 + same * center**2
    return (lenient - severe) / max(1, len(rows)), math.sqrt(squares / (n - 1) / n)


def _kappa(confusion: Mapping[str, Mapping[str, int]], n: int) -> Kappa:
    """Kappa and its large-sample interval (Fleiss, Cohen, Everitt, Psychological Bulletin 72, 323-327, 1969)."""
    p = {(label, verdict): confusion.get(label, {}).get(verdict, 0) / n for label in VERDICTS for verdict in VERDICTS}
    rows = {name: sum(p[name, verdict] for verdict in VERDICTS) for name in VERDICTS}
    columns = {name: sum(p[label, name] for label in VERDICTS) for name in VERDICTS}
    seen = sum(p[name, name] for name in VERDICTS)
    chance = sum(rows[name] * columns[name] for name in VERDICTS)
    if 1.0 - chance < 1e-12:
        return Kappa(value=None, lower=None, upper=None)
    kappa = (seen - chance) / (1.0 - chance)
    on = sum(p[name, name] * (1.0 - (rows[name] + columns[name]) * (1.0 - kappa)) ** 2 for name in VERDICTS)
    off = (1.0 - kappa) ** 2 * sum(
        p[label, verdict] * (columns[label] + rows[verdict]) ** 2
        for label in VERDICTS
        for verdict in VERDICTS
        if label != verdict
    )
    variance = (on + off - (kappa - chance * (1.0 - kappa)) ** 2) / (n * (1.0 - chance) ** 2)
    half = float(ndtri(0.975)) * math.sqrt(max(0.0, variance))
    return Kappa(value=kappa, lower=max(-1.0, kappa - half), upper=min(1.0, kappa + half))


def _to_json(part: Agreement) -> dict[str, Any]:
    return {
        "n": part.n,
        "agreement": _rate(part.agreement),
        "error": _rate(part.error),
        "kappa": {"value": part.kappa.value, "lower": part.kappa.lower, "upper": part.kappa.upper},
        "confusion": {label: dict(row) for label, row in part.confusion.items()},
        "leniency": {outcome: {"value": mean, "se": error} for outcome, (mean, error) in part.leniency.items()},
    }


def _rate(rate: Rate) -> dict[str, float]:
    return {"value": rate.value, "lower": rate.lower, "upper": rate.upper}


def _rows(arms: Mapping[str, Mapping[str, Any]]) -> list[Labelled]:
    return [
        Labelled(label, verdict, arm)
        for arm, part in arms.items()
        for label, row in part["confusion"].items()
        for verdict, count in row.items()
        for _ in range(count)
    ]


def _rest(value: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Counts of replies without an arm."""
    return {
        label: {
            verdict: count - sum(part["confusion"][label][verdict] for part in value["arms"].values())
            for verdict, count in row.items()
        }
        for label, row in value["overall"]["confusion"].items()
    }
