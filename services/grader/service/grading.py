"""Grade a batch: the deterministic grader first, the judge for the rest; outcomes leave as they are finished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from chassis.errors import CandorError
from chassis.fan_out import fan_out
from services.grader.domain import judging
from services.grader.domain.answers.case import AnswerCase, AnswerGrade, DecidedBy
from services.grader.domain.answers.grade import grade
from services.grader.domain.validate import check_grading
from services.grader.ports import Judge, Judges

Outcome = AnswerGrade | CandorError
# Cases graded in one go off the event loop: a few milliseconds, so that other calls are answered meanwhile.
_CHUNK = 64


class Grading:
    """Grades answers.

    Args:
        judges: Where judges come from.
    """

    def __init__(self, judges: Judges) -> None:
        self._judges = judges

    async def grade(
        self, cases: Sequence[AnswerCase], judge: judging.JudgeSpec | None, profile: str
    ) -> AsyncGenerator[tuple[int, Outcome]]:
        """Outcomes with their index as they finish, each index once.

        Raises:
            CandorError: Before the first outcome: bad fields, or a judge that cannot be used.
        """
        check_grading(cases, judge, profile)
        ready = await self._judges.ready(judge) if judge is not None else None
        left: list[int] = []
        for start in range(0, len(cases), _CHUNK):
            chunk = cases[start : start + _CHUNK]
            for index, graded in enumerate(await asyncio.to_thread(_grade_all, chunk, profile), start):
                if ready is not None and (graded.decided_by is DecidedBy.NONE or _asked_anyway(judge)):
                    left.append(index)
                else:
                    yield index, graded
        if ready is not None and left:
            async with aclosing(_judged(ready, cases, left)) as outcomes:
                async for outcome in outcomes:
                    yield outcome


def _asked_anyway(judge: judging.JudgeSpec | None) -> bool:
    return judge is not None and judge.every_case


def _grade_all(cases: Sequence[AnswerCase], profile: str) -> list[AnswerGrade]:
    return [grade(case, profile) for case in cases]


async def _judged(
    judge: Judge, cases: Sequence[AnswerCase], left: Sequence[int]
) -> AsyncGenerator[tuple[int, Outcome]]:
    """Ask the judge; cases that it would see as the same text are asked once, and only the first carries the usage."""
    groups: dict[tuple[tuple[tuple[str, str], ...], str], list[int]] = {}
    for index in left:
        groups.setdefault((judging.messages(cases[index]), cases[index].belief), []).append(index)
    first = [cases[group[0]] for group in groups.values()]
    async with aclosing(fan_out(first, judge.judge, judge.width)) as outcomes:
        members = list(groups.values())
        async for number, outcome in outcomes:
            for place, index in enumerate(members[number]):
                yield index, _without_usage(outcome) if place else outcome


def _without_usage(outcome: Outcome) -> Outcome:
    return outcome if isinstance(outcome, CandorError) else outcome._replace(usage=None)
