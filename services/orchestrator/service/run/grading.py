"""Grades replies while others are still being asked for."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from chassis.errors import CandorError
from services.orchestrator.domain.gate.result import Cause
from services.orchestrator.ports import Grade, GradeRow
from services.orchestrator.service.rows import case_of, grade_of
from services.orchestrator.service.run.batcher import Batcher
from services.orchestrator.service.run.state import Run
from services.orchestrator.service.world import blocking

_ROUNDS = 3
_ROWS_PER_READ = 500


class Answer(NamedTuple):
    """A reply that waits for its grade."""

    arm: str
    slot: int
    key: bytes
    text: str


class Grading:
    """A queue of replies in front of the grader."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._silent = 0
        limits = run.world.limits
        self._queue: Batcher[Answer] = Batcher(
            self._grade, size=limits.grade_batch, seconds=limits.commit_seconds, parallel=limits.grade_streams
        )
        self._writer: Batcher[GradeRow] = Batcher(self._store, size=limits.commit_items, seconds=limits.commit_seconds)

    def put(self, arm: str, slot: int, key: bytes, text: str) -> None:
        """A reply to grade."""
        self._queue.put(Answer(arm, slot, key, text))

    async def room(self) -> None:
        """Return when the grader has caught up enough for more replies. Raises what it raised."""
        await self._queue.room()
        await self._writer.room()

    async def put_stored(self, arm: str, slots: list[int]) -> None:
        """Replies in the ledger that have no grade under the versions of this run."""
        subject = self._run.subject(arm)
        workload = self._run.prepared.workload
        for start in range(0, len(slots), _ROWS_PER_READ):
            keys = {subject.key(workload.slots[slot]): slot for slot in slots[start : start + _ROWS_PER_READ]}
            rows = await blocking(self._run.world.ledger.responses, list(keys))
            for key, row in rows.items():
                self.put(arm, keys[key], key, row.text)
            await self.room()

    async def drained(self) -> None:
        """Return once everything put so far is graded and stored. Raises what the grader raised."""
        await self._queue.drained()
        await self._writer.drained()

    async def close(self, *, flush: bool) -> None:
        """Stop, and store the grades that there are. Without `flush` what waits is left to the next run."""
        try:
            await self._queue.close(flush=flush, seconds=None if flush else self._run.world.limits.settle_seconds)
        finally:
            await self._writer.close(flush=True)

    async def _grade(self, answers: list[Answer]) -> None:
        left = answers
        for _ in range(_ROUNDS):
            left, trouble, said = await self._round(left)
            if trouble is None:
                break
        if said or trouble is None:  # in the last round: a judge may die in the middle of a batch
            self._silent = 0
        else:
            await self._silence(len(left), trouble)

    async def _silence(self, replies: int, trouble: CandorError) -> None:
        """The judge gave no grade of so many replies. Those are graded by the next run; a judge that is gone ends this one.

        Raises:
            CandorError: It does not say its name either, or has never graded anything.
        """
        run = self._run
        self._silent += replies
        never = not any(board.judged.any() for board in run.board.arms.values())
        gone = never and self._silent >= run.world.limits.silent_calls
        if not gone:
            try:
                await run.world.grader.info(run.spec.judge)
            except CandorError:
                gone = True
        if gone:
            raise CandorError(trouble.reason, f"grading: {trouble.message}", metadata=trouble.metadata)

    async def _round(self, answers: list[Answer]) -> tuple[list[Answer], CandorError | None, bool]:
        """Grade once; what is left, why, and whether a judge said anything at all."""
        run = self._run
        left: list[Answer] = []
        trouble: CandorError | None = None
        said = False
        cases = [case_of(run.prepared.workload, answer.slot, answer.text) for answer in answers]
        async for index, outcome in run.world.grader.grade(cases, run.spec.judge, run.spec.refusal_profile):
            answer = answers[index]
            if isinstance(outcome, CandorError) and outcome.retryable:
                trouble = outcome
                left.append(answer)
                continue
            grade = grade_of(outcome)
            said = said or grade.decided_by != "deterministic"
            self._take(answer, grade)
        run.teller.nudge()
        return left, trouble, said

    def _take(self, answer: Answer, grade: Grade) -> None:
        run = self._run
        run.board.arms[answer.arm].graded(answer.slot, grade.verdict, grade.adopts, grade.decided_by)
        counts = run.teller.counts
        counts.graded += 1
        counts.judge_prompt_tokens += grade.usage.prompt_tokens
        counts.judge_completion_tokens += grade.usage.completion_tokens
        expected = run.grader.judge_model
        if expected and grade.judge_model and grade.judge_model != expected and not run.invariants:
            run.broke(
                Cause.JUDGE_CHANGED,
                f"the judge said it is {grade.judge_model}, at the start of the run it was {expected}; "
                "the same command grades all replies again",
            )
        with contextlib.suppress(CandorError):  # `room` and `drained` say so; the grades under way are paid for
            self._writer.put(GradeRow(key=answer.key, grader_digest=run.grader.digest, grade=grade))

    async def _store(self, rows: list[GradeRow]) -> None:
        await blocking(self._run.world.ledger.put_grades, rows)
