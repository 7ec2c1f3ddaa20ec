"""What one execution of a run holds in memory, and how its progress is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from services.orchestrator.domain.board import Board
from services.orchestrator.domain.gate.result import Cause
from services.orchestrator.domain.making.made import Made
from services.orchestrator.domain.spec import Spec
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.ports import EvaluationRow, GraderInfo
from services.orchestrator.service.prepare import Prepared
from services.orchestrator.service.world import World, blocking

# A long run tells its progress less often: nobody reads ten thousand lines.
_MANY_EVENTS = 400
_SLOWER = 8


@dataclass(slots=True)
class ArmCounts:
    """One arm's calls, those of earlier executions included.

    Attributes:
        said: What was said of a failed call, by reason; of this execution.
        names: Names that the replies of this execution gave their model.
    """

    done: int = 0
    reused: int = 0
    cut: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    oldest_reuse: float | None = None


@dataclass(slots=True)
class Counts:
    """The numbers of `Progress`."""

    total: int = 0
    graded: int = 0
    judge_prompt_tokens: int = 0
    judge_completion_tokens: int = 0
    looks_done: int = 0
    looks_total: int = 0
    stage_done: int = 0
    stage_total: int = 0
    training: list[dict[str, Any]] = field(default_factory=list)
    rewriting_spend: float | None = None
    training_spend: float | None = None
    arms: dict[str, ArmCounts] = field(default_factory=dict)


class Teller:
    """Tells progress as events: every change of stage at once, counts at most so often."""

    def __init__(self, world: World, row: EvaluationRow, spec: Spec) -> None:
        self._world = world
        self.evaluation_id = row.id
        self._attempt = row.attempt
        self._spec = spec
        self._told = 0.0
        self._events = 0
        self._telling: asyncio.Task[None] | None = None
        self._last: dict[str, Any] = {}
        self._lock = asyncio.Lock()
        self._earlier: Counter[str] | None = None
        self.counts = Counts(arms={name: ArmCounts() for name in spec.arm_order()})
        self.stage = "planning"
        self.stage_seconds: dict[str, float] = dict(row.progress.get("stage_seconds", {}))
        self._entered = world.clock()

    async def enter(self, stage: str, message: str = "") -> None:
        """A stage begins."""
        now = self._world.clock()
        self.stage_seconds[self.stage] = self.stage_seconds.get(self.stage, 0.0) + now - self._entered
        self._entered = now
        self.stage = stage
        self.counts.stage_done = self.counts.stage_total = 0
        self.counts.training = []
        await self.tell(message)

    def nudge(self) -> None:
        """Something was done: an event in the background, if the last one is old enough. Raises what the last one raised."""
        if self._telling is not None:
            if not self._telling.done():
                return
            self._telling.result()
            self._telling = None
        wait = self._world.limits.event_seconds * (1 if self._events < _MANY_EVENTS else _SLOWER)
        if self._world.clock() - self._told >= wait:
            self._telling = asyncio.create_task(self.tell())

    async def tell(self, message: str = "", state: str = "RUNNING", **changes: object) -> None:
        """An event now, unless it would say nothing new."""
        async with self._lock:
            progress = self.progress()
            if progress == self._last and not message and not changes and state == "RUNNING":
                return
            self._last = progress
            self._told = self._world.clock()
            self._events += 1
            await blocking(
                self._world.ledger.append_event,
                self.evaluation_id,
                state,
                message,
                progress,
                by_attempt=self._attempt,
                **changes,
            )
        self._world.bell.ring(self.evaluation_id)

    async def aclose(self) -> None:
        """Wait for the event in the background: nothing is told after this."""
        if self._telling is not None:
            await asyncio.gather(self._telling, return_exceptions=True)

    async def tell_once(self, message: str) -> None:
        """An event, unless an earlier execution has told the same."""
        if new := await self.unless_told(message):
            await self.tell(new)

    async def unless_told(self, message: str) -> str:
        """The message, or nothing where an earlier execution has told it: what is gone through again is not told again."""
        if self._earlier is None:
            self._earlier = await blocking(self._told_earlier)
        if not self._earlier[message]:
            return message
        self._earlier[message] -= 1
        return ""

    def _told_earlier(self) -> Counter[str]:
        told: Counter[str] = Counter()
        sequence = 0
        while events := self._world.ledger.events(self.evaluation_id, sequence):
            sequence = events[-1].sequence
            told.update(event.message for event in events)
        return told

    def progress(self) -> dict[str, Any]:
        """The numbers as stored; `spend` is absent without prices."""
        counts = self.counts
        arms = counts.arms.values()
        value: dict[str, Any] = {
            "stage": self.stage,
            "responses_done": sum(arm.done for arm in arms),
            "responses_total": counts.total,
            "graded": counts.graded,
            "failed": sum(arm.failed.total() for arm in arms),
            "reused": sum(arm.reused for arm in arms),
            "prompt_tokens": sum(arm.prompt_tokens for arm in arms),
            "completion_tokens": sum(arm.completion_tokens for arm in arms),
            "looks_done": counts.looks_done,
            "looks_total": counts.looks_total,
            "stage_done": counts.stage_done,
            "stage_total": counts.stage_total,
            "training": self.counts.training,
            "stage_seconds": {name: round(seconds, 3) for name, seconds in self.stage_seconds.items()},
        }
        spend = self.spend()
        return value if spend is None else value | {"spend": spend}

    def arm_spend(self, name: str) -> float | None:
        """What an arm cost; None without prices. Replies taken from other runs cost nothing here."""
        prices = self._spec.arms[name].prices
        counts = self.counts.arms[name]
        return None if prices is None else prices.cost(counts.prompt_tokens, counts.completion_tokens)

    def spend(self) -> float | None:
        """What the run cost, judge, rewrites and a provider's training included; None when nothing has a price."""
        parts = [self.arm_spend(name) for name in self.counts.arms]
        judge = self._spec.judge
        if judge is not None and judge.prices is not None:
            parts.append(judge.prices.cost(self.counts.judge_prompt_tokens, self.counts.judge_completion_tokens))
        parts += [self.counts.rewriting_spend, self.counts.training_spend]
        known = [part for part in parts if part is not None]
        return sum(known) if known else None


@dataclass(slots=True, kw_only=True)
class Run:
    """One execution of an evaluation.

    Attributes:
        row: As it was when the execution began.
        grader: Versions that grade this run.
        board: Outcomes so far.
        made: The arms that were made for it.
        invariants: What broke, a sentence each; any of them makes the run INVALID. Said by `broke`.
        causes: Of which kinds they are.
        stale: What the arms were found to be is no longer true, so that the next attempt finds out anew.
        caveats: What a reader must know.
        warmth_note: Why warmth was not measured, or empty.
    """

    world: World
    row: EvaluationRow
    prepared: Prepared
    teller: Teller
    subjects: tuple[Subject, ...]
    grader: GraderInfo
    board: Board
    made: Made = field(default_factory=Made)
    invariants: list[str] = field(default_factory=list)
    causes: set[Cause] = field(default_factory=set)
    stale: bool = False
    caveats: list[str] = field(default_factory=list)
    warmth_note: str = ""

    @property
    def spec(self) -> Spec:
        """The document."""
        return self.prepared.spec

    def broke(self, cause: Cause, *sentences: str) -> None:
        """Say what broke; without a sentence nothing did."""
        self.invariants += sentences
        if sentences:
            self.causes.add(cause)

    def subject(self, arm: str) -> Subject:
        """The subject of an arm."""
        return next(subject for subject in self.subjects if subject.name == arm)
