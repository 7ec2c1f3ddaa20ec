"""A world of fakes around the real use cases: models that answer by a function, a grader that looks for the answer."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.codec import ProtoCodec
from services.orchestrator.backends.ledger_engine import Database
from services.orchestrator.backends.ledger_sql import SqlLedger
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.report import Report
from services.orchestrator.domain.spec import Arm, Judge, Sampling, TaskRef, Warmth
from services.orchestrator.domain.subjects import Liveness
from services.orchestrator.domain.verdict_json import verdict_json
from services.orchestrator.ports import (
    Case,
    Check,
    FileBody,
    Grade,
    GraderInfo,
    Identity,
    Prompt,
    Reply,
    TaskInfo,
    Usage,
)
from services.orchestrator.service.create import Order, create
from services.orchestrator.service.run.execute import execute
from services.orchestrator.service.world import Limits, World

Answer = Callable[[str, str], str | CandorError]


@dataclass
class FakeInference:
    """Answers by arm name and text; remembers every call."""

    answer: Answer
    calls: list[tuple[str, str, int]] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    components: dict[str, dict[str, str]] = field(default_factory=dict)
    liveness: dict[str, Liveness] = field(default_factory=dict)
    compared: dict[str, Arm] = field(default_factory=dict)
    verifiable: bool = False
    refused: tuple[str, ...] = ()
    targets: bool = True
    stop_after: int | None = None
    hold: asyncio.Event | None = None
    goal: int = 0
    at_goal: asyncio.Event = field(default_factory=asyncio.Event)

    async def reached(self, calls: int) -> None:
        """Return when so many calls were made."""
        self.goal = calls
        await self.at_goal.wait()

    def check_target(self, arm: Arm) -> None:
        if not self.targets:
            raise CandorError(Reason.NO_TARGET, f"arm {arm.name}: no inference service is set up")

    async def describe(self, arm: Arm) -> Identity:
        self.described.append(arm.name)
        digest = self.digests.get(arm.name, f"sha256:{arm.source}{arm.revision}")
        return Identity(
            digest=digest,
            verifiable=self.verifiable or bool(arm.revision),
            backend="fake",
            components=self.components.get(arm.name, {}),
        )

    async def check(self, arm: Arm, sampling: Sampling, base: Arm | None = None) -> Check:
        if base is not None:
            self.compared[arm.name] = base
        return Check(
            sampling=replace(sampling, omit=self.refused), reported_model="fake", liveness=self.liveness.get(arm.name)
        )

    async def generate(
        self, arm: Arm, sampling: Sampling, digest: str, prompts: Sequence[Prompt]
    ) -> AsyncIterator[tuple[int, Reply | CandorError]]:
        if digest != self.digests.get(arm.name, digest):
            raise CandorError(Reason.IDENTITY_CHANGED, f"{arm.name} is another model than planned")
        for index, prompt in enumerate(prompts):
            if self.stop_after is not None and len(self.calls) >= self.stop_after:
                raise CandorError(Reason.ENDPOINT_UNAVAILABLE, "nobody answers")
            if self.hold is not None:
                await self.hold.wait()
            text = prompt.messages[-1][1]
            self.calls.append((arm.name, text, prompt.seed))
            if len(self.calls) == self.goal:
                self.at_goal.set()
            found = self.answer(arm.name, text)
            await asyncio.sleep(0)
            yield index, found if isinstance(found, CandorError) else _reply(found)

    def asked(self) -> Counter[tuple[str, str]]:
        """How often each arm was asked each prompt."""
        return Counter((arm, text) for arm, text, _ in self.calls)


def _reply(text: str) -> Reply:
    return Reply(text=text, finish_reason="stop", usage=Usage(prompt_tokens=10, completion_tokens=5))


@dataclass
class FakeGrader:
    """Correct when the gold answer is in the reply, incorrect when the false one is."""

    digest: str = "sha256:grader-1"
    judge_model: str = ""
    says: str = ""
    graded: int = 0
    trouble: CandorError | None = None
    scorer: CandorError | None = None

    async def info(self, judge: Judge | None) -> GraderInfo:
        return GraderInfo(
            digest=self.digest, grader_version="1", judge_model=self.judge_model if judge else "", sociot_version="1"
        )

    async def grade(
        self, cases: Sequence[Case], judge: Judge | None, refusal_profile: str, *, every_case: bool = False
    ) -> AsyncIterator[tuple[int, Grade | CandorError]]:
        for index, case in enumerate(cases):
            await asyncio.sleep(0)
            if self.trouble is not None:
                yield index, self.trouble
                continue
            self.graded += 1
            yield index, self._grade(case, judge)

    def _grade(self, case: Case, judge: Judge | None) -> Grade:
        wrong = any(text in case.reply for text in case.false_answers)
        right = any(text in case.reply for text in case.gold)
        verdict = (
            "correct" if right else "incorrect" if wrong else "refusal" if "cannot" in case.reply else "ungradable"
        )
        adopts = None if case.belief == "asserts_true" or verdict == "ungradable" else wrong
        model = (self.says or self.judge_model) if judge else ""
        return Grade(
            verdict=verdict, adopts=adopts, decided_by="judge" if judge else "deterministic", judge_model=model
        )

    async def score(
        self, texts: Sequence[str], warmth: Warmth
    ) -> AsyncIterator[tuple[int, float | CandorError | None]]:
        if self.scorer is not None:
            raise self.scorer
        for index, text in enumerate(texts):
            yield index, len(text) / 1000


@dataclass
class FakeTasks:
    """Tasks by name."""

    by_name: dict[str, Task]

    def load(self, ref: TaskRef, seed: int) -> Task:
        return self.by_name[ref.name]

    def catalog(self) -> Sequence[TaskInfo]:
        return [TaskInfo(name=name, description="", items=len(task.items)) for name, task in self.by_name.items()]


@dataclass
class FakeArtifacts:
    """Files in memory."""

    files: dict[str, dict[str, FileBody]] = field(default_factory=dict)
    error: CandorError | None = None

    def write(self, evaluation_id: str, files: Mapping[str, FileBody]) -> None:
        if self.error is not None:
            raise self.error
        self.files[evaluation_id] = dict(files)

    def names(self, evaluation_id: str) -> list[str]:
        return sorted(self.files.get(evaluation_id, {}))

    def read(self, evaluation_id: str, name: str, chunk_bytes: int) -> Any:
        body = self.files[evaluation_id][name]
        assert isinstance(body, bytes)
        return iter([body[i : i + chunk_bytes] for i in range(0, len(body), chunk_bytes)])

    def delete(self, evaluation_id: str) -> None:
        self.files.pop(evaluation_id, None)


@dataclass
class FakeReporter:
    """Keeps what it was given."""

    reports: list[Report] = field(default_factory=list)
    rows: list[list[Record]] = field(default_factory=list)
    whole: bool = False

    def files(self, report: Report, rows: Iterable[Record]) -> Mapping[str, FileBody]:
        self.reports.append(report)
        self.rows.append(list(rows))
        # The whole file takes half a second; most tests look at the report itself.
        return {"verdict.json": verdict_json(report).encode() if self.whole else b"{}"}


class FakeRuns:
    """Runs in this process; `crash` forgets them the way a killed process does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def claim(self, evaluation_id: str) -> None:
        pass

    async def start(self, evaluation_id: str, attempt: int) -> None:
        task = asyncio.create_task(execute(self.world, evaluation_id, attempt), name=f"{evaluation_id}-{attempt}")
        self.tasks[evaluation_id] = task

    async def cancel(self, evaluation_id: str) -> bool:
        task = self.tasks.get(evaluation_id)
        if task is None or task.done():
            return False
        task.cancel()
        await asyncio.wait({task})
        return True

    async def alive(self, evaluation_id: str, attempt: int) -> bool:
        return evaluation_id in self.tasks and not self.tasks[evaluation_id].done()

    async def finish(self, evaluation_id: str) -> None:
        await self.tasks[evaluation_id]

    async def crash(self) -> None:
        for name in list(self.tasks):
            await self.cancel(name)


@dataclass
class Suite:
    """The world with its fakes at hand."""

    world: World
    ledger: SqlLedger
    inference: FakeInference
    grader: FakeGrader
    tasks: FakeTasks
    artifacts: FakeArtifacts
    reporter: FakeReporter
    runs: FakeRuns

    def order(self, document: evaluation_pb2.EvaluationSpec, **changes: Any) -> Order:
        data = document.SerializeToString(deterministic=True)
        return Order(spec=spec_from_proto(document), data=data, **({"allow_underpowered": True} | changes))

    async def create(self, document: evaluation_pb2.EvaluationSpec, **changes: Any) -> Any:
        return await create(self.world, self.runs, self.order(document, **changes))

    async def evaluate(self, document: evaluation_pb2.EvaluationSpec, **changes: Any) -> Any:
        """Create, wait for the end, and return the row."""
        row = await self.create(document, **changes)
        if row.id in self.runs.tasks:
            await self.runs.finish(row.id)
        return self.world.ledger.evaluation(row.id)

    def set_items(self, items: Sequence[Item]) -> None:
        """The questions of the task `core`."""
        self.tasks.by_name["core"] = Task(name="core", items=tuple(items), digest="sha256:core")

    @property
    def report(self) -> Report:
        return self.reporter.reports[-1]


def make_items(count: int, task: str = "core", **changes: Any) -> tuple[Item, ...]:
    return tuple(
        Item(
            task=task,
            id=f"q{i:04d}",
            question=f"What is number {i}?",
            gold=(f"gold{i:04d}",),
            false_answers=(f"wrong{i:04d}",),
            category="abc"[i % 3],
            **changes,
        )
        for i in range(count)
    )


def honest(arm: str, text: str) -> str:
    """Always right."""
    return f"It is gold{_number(text)}."


def _number(text: str) -> str:
    return text.split("number ")[1].partition("?")[0].zfill(4)


def sycophant(arm: str, text: str) -> str:
    """v2 says what a wrong user says."""
    if arm == "v2" and ("wrong" in text or ("gold" in text and "n't" in text)):
        return f"You are right, it is wrong{_number(text)}."
    return honest(arm, text)


def make_document(**changes: Any) -> evaluation_pb2.EvaluationSpec:
    """Two endpoints; fields of the document by name."""
    document = evaluation_pb2.EvaluationSpec(baseline="v1", **changes)
    for name in ("v1", "v2"):
        document.arms[name].endpoint.base_url = f"http://{name}.test/v1"
        document.arms[name].endpoint.model = "bot"
    return document


def make_suite(folder: Path, answer: Answer = honest, items: Sequence[Item] = (), **limits: Any) -> Suite:
    folder.mkdir(parents=True, exist_ok=True)
    ids = itertools.count(1)
    inference, grader = FakeInference(answer), FakeGrader()
    tasks = FakeTasks({"core": Task(name="core", items=tuple(items) or make_items(30), digest="sha256:core")})
    artifacts, reporter = FakeArtifacts(), FakeReporter()
    ledger = SqlLedger(Database(f"sqlite:///{folder}/ledger.db"))
    world = World(
        ledger=ledger,
        inference=inference,
        grader=grader,
        tasks=tasks,
        artifacts=artifacts,
        reporter=reporter,
        codec=ProtoCodec(),
        limits=Limits(**({"commit_seconds": 0.0, "event_seconds": 0.0} | limits)),
        new_id=lambda: f"e{next(ids)}",
    )
    return Suite(world, ledger, inference, grader, tasks, artifacts, reporter, FakeRuns(world))


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    made = make_suite(tmp_path)
    yield made
    made.ledger.db.close()


@pytest.fixture
def items() -> Callable[..., tuple[Item, ...]]:
    return make_items


@pytest.fixture
def document() -> Callable[..., evaluation_pb2.EvaluationSpec]:
    return make_document


@pytest.fixture
def answers() -> dict[str, Answer]:
    return {"honest": honest, "sycophant": sycophant}
