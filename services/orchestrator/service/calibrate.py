"""CalibrateJudge: asks the judge about human-labelled replies and keeps how far it agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chassis.errors import FieldViolation, invalid
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
    """Let the judge grade every answer, and compare it with the labels.

    What a gate is charged rests on the answers alone that the deterministic grader leaves open: they are what the judge
    decides in a run, and easy ones beside them would make it look better than it is there.

    Raises:
        CandorError: INVALID_REQUEST naming every bad field; what the grader or the judge say.
    """
    problems = list(_problems(judge, answers))
    if problems or judge is None:
        raise invalid("the labelled answers cannot be used", problems[:_MOST_PROBLEMS])
    info = await world.grader.info(judge)
    plain = await _grade(world, None, answers)
    judged = await _grade(world, judge, answers)
    rows = [Labelled(answer.label, grade.verdict, answer.arm) for answer, grade in zip(answers, judged, strict=True)]
    left = [row for row, grade in zip(rows, plain, strict=True) if grade.decided_by != "deterministic"]
    found = await blocking(calibrate, rows)
    charged = await blocking(calibrate, left) if left else None
    digest = judge_digest(info)
    value = {
        "judge": info.judge_model or judge.endpoint.model,
        "judge_digest": digest,
        "use": _use(charged),
        **found.to_json(),
        "left_open": charged.to_json() if charged else None,
        "deterministic": {
            "n": len(rows) - len(left),
            "agreeing": sum(
                grade.decided_by == "deterministic" and grade.verdict == answer.label
                for answer, grade in zip(answers, plain, strict=True)
            ),
        },
    }
    body = json.dumps(value, ensure_ascii=False, indent=1)
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


async def _grade(world: World, judge: Judge | None, answers: Sequence[HumanLabel]) -> list[Grade]:
    graded: dict[int, Grade] = {}
    for start in range(0, len(answers), _BATCH):
        cases = [answer.case for answer in answers[start : start + _BATCH]]
        async for index, outcome in world.grader.grade(cases, judge, "candor", every_case=True):
            if isinstance(outcome, Grade):
                graded[start + index] = outcome
            elif outcome.retryable:
                raise outcome
            else:
                rule = f"{outcome.reason.name}: {outcome.message}"
                graded[start + index] = Grade(verdict="ungradable", adopts=None, decided_by="none", rule=rule)
    return [graded[index] for index in range(len(answers))]


def _use(charged: Calibration | None) -> str:
    arms = charged.arms if charged else {}
    ready = sorted(name for name, part in arms.items() if part.n >= LABELS_PER_ARM)
    if len(ready) > 1:
        return (
            f"arms {', '.join(ready)} have {LABELS_PER_ARM} labels each on answers that only a judge decides: a gate between "
            "two of them is charged the measured difference of the judge's error instead of 5 points"
        )
    short = {name: LABELS_PER_ARM - part.n for name, part in arms.items() if part.n < LABELS_PER_ARM}
    lacking = (
        ", ".join(f"{count} more of {name}" for name, count in sorted(short.items())) or "labels that name their arm"
    )
    return (
        f"a gate counts the judge as calibrated from {LABELS_PER_ARM} labels in each of two arms on answers that the "
        f"deterministic grader leaves open; still needed: {lacking}"
    )
