"""CalibrateJudge: asks the judge about human-labelled replies and keeps how far it agrees."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from chassis.errors import CandorError, FieldViolation, invalid
from services.orchestrator.domain.calibration import LABELS, LABELS_PER_ARM, Calibration, Labelled, calibrate
from services.orchestrator.domain.spec import Judge
from services.orchestrator.ports import Case, Grade, GraderInfo, GradeRow
from services.orchestrator.service.judging import address_of, judge_digest
from services.orchestrator.service.rows import grade_of
from services.orchestrator.service.run.batcher import Batcher
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
    plain = await _grade(world, None, await world.grader.info(None), answers)
    judged = await _grade(world, judge, info, answers)
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


async def _grade(world: World, judge: Judge | None, info: GraderInfo, answers: Sequence[HumanLabel]) -> list[Grade]:
    """Grades of all answers. Each is kept as it comes: what a judge was paid for is not asked again."""
    keys = _keys(judge, answers)
    graded = await blocking(world.ledger.grades, keys, info.digest)
    missing = [index for index, key in enumerate(keys) if key not in graded]
    writer: Batcher[GradeRow] = Batcher(
        lambda rows: blocking(world.ledger.put_grades, rows),
        size=world.limits.commit_items,
        seconds=world.limits.commit_seconds,
    )
    try:
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            trouble: CandorError | None = None
            cases = [answers[index].case for index in part]
            async for place, outcome in world.grader.grade(cases, judge, "candor", every_case=True):
                if isinstance(outcome, CandorError) and outcome.retryable:
                    trouble = outcome
                    continue
                row = GradeRow(key=keys[part[place]], grader_digest=info.digest, grade=grade_of(outcome))
                graded[row.key] = row.grade
                writer.put(row)
            if trouble is not None:
                raise trouble
    finally:
        await writer.close(flush=True)
    return [graded[key] for key in keys]


def _keys(judge: Judge | None, answers: Sequence[HumanLabel]) -> list[bytes]:
    """Answers of people are no replies of an evaluation: their grades have keys of their own. Equal ones differ by number."""
    keys: list[bytes] = []
    seen: Counter[str] = Counter()
    for answer in answers:
        said = json.dumps(["calibration", judge is not None, asdict(answer.case)], sort_keys=True)
        keys.append(hashlib.sha256(f"{seen[said]} {said}".encode()).digest())
        seen[said] += 1
    return keys


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
