"""CalibrateJudge: asks the judge about human-labelled replies and keeps how far it agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.domain.calibration import LABELS, LABELS_PER_ARM, Calibration, Labelled, calibrate
from services.orchestrator.domain.spec import Judge
from services.orchestrator.ports import Case, Grade
from services.orchestrator.service.judging import address_of, judge_digest
from services.orchestrator.service.world import World, blocking

MOST_ANSWERS = 10_000
_BATCH = 256
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """A reply that a person labelled; `arm` is empty where it is not known."""

    case: Case
    label: str
    arm: str


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What was found: calibration.json, and what it is stored under."""

    body: str
    judge_digest: str
    stored: bool


async def measure(world: World, judge: Judge | None, answers: Sequence[HumanLabel]) -> Calibrated:
    """Grade the answers and compare those that the judge decided with their labels.

    Raises:
        CandorError: INVALID_REQUEST naming every bad field; what the grader or the judge say.
    """
    problems = list(_problems(judge, answers))
    if problems or judge is None:
        raise invalid("the labelled answers cannot be used", problems[:_MOST_PROBLEMS])
    info = await world.grader.info(judge)
    graded = await _grade(world, judge, answers)
    judged = [Labelled(answer.label, grade.verdict, answer.arm) for answer, grade in graded if _is_judged(grade)]
    if not judged:
        message = f"the deterministic grader decides all {len(graded):,} answers: there is nothing for the judge to do"
        raise CandorError(Reason.INVALID_REQUEST, message)
    found = await blocking(calibrate, judged)
    digest = judge_digest(info)
    rest = [(answer, grade) for answer, grade in graded if not _is_judged(grade)]
    body = json.dumps(
        {
            "judge": info.judge_model or judge.endpoint.model,
            "judge_digest": digest,
            "answers": len(graded),
            "deterministic": {
                "n": len(rest),
                "agreeing": sum(answer.label == grade.verdict for answer, grade in rest),
            },
            "use": _use(found),
            **found.to_json(),
        },
        ensure_ascii=False,
        indent=1,
    )
    for name in (digest, address_of(judge)):
        await blocking(world.ledger.put_calibration, name, body)
    return Calibrated(body, digest, stored=True)


def _problems(judge: Judge | None, answers: Sequence[HumanLabel]) -> Iterator[FieldViolation]:
    if judge is None or not judge.endpoint.base_url or not judge.endpoint.model:
        yield FieldViolation("judge.endpoint", "is required: base_url and model of the judge")
    if not 1 <= len(answers) <= MOST_ANSWERS:
        yield FieldViolation("answers", f"has {len(answers):,} answers; give 1 to {MOST_ANSWERS:,}")
        return
    for index, answer in enumerate(answers):
        where = f"answers[{index}]"
        if answer.label not in LABELS:
            yield FieldViolation(f"{where}.label", f"{answer.label!r} is unknown; use {', '.join(LABELS)}")
        for name, value in (
            ("question", answer.case.question),
            ("gold", answer.case.gold),
            ("reply", answer.case.reply),
        ):
            if not value:
                yield FieldViolation(f"{where}.case.{name}", "is required")


async def _grade(world: World, judge: Judge, answers: Sequence[HumanLabel]) -> list[tuple[HumanLabel, Grade]]:
    graded: list[tuple[HumanLabel, Grade]] = []
    for start in range(0, len(answers), _BATCH):
        batch = answers[start : start + _BATCH]
        async for index, outcome in world.grader.grade([answer.case for answer in batch], judge, "candor"):
            if isinstance(outcome, Grade):
                graded.append((batch[index], outcome))
            elif outcome.retryable:
                raise outcome
            else:
                failed = Grade(verdict="ungradable", adopts=None, decided_by="judge", rule=outcome.message)
                graded.append((batch[index], failed))
    return graded


def _is_judged(grade: Grade) -> bool:
    """What the deterministic grader left open is the judge's, also where it could not decide."""
    return grade.decided_by != "deterministic"


def _use(found: Calibration) -> str:
    ready = sorted(name for name, part in found.arms.items() if part.n >= LABELS_PER_ARM)
    if len(ready) > 1:
        return (
            f"arms {', '.join(ready)} have {LABELS_PER_ARM} judged labels each: a gate between two of them is charged the "
            "measured difference of the judge's error instead of 5 points"
        )
    short = {name: LABELS_PER_ARM - part.n for name, part in found.arms.items() if part.n < LABELS_PER_ARM}
    lacking = ", ".join(f"{count} more of {name}" for name, count in sorted(short.items())) or "labels with their arm"
    return (
        f"a gate counts the judge as calibrated from {LABELS_PER_ARM} labels that it judged in each of two arms; "
        f"still needed: {lacking}"
    )
