"""What the orchestrator needs from the world, as the inside sees it. Backends implement these; tests bring fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from chassis.errors import CandorError
from services.orchestrator.domain.items import Task
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.report import Report
from services.orchestrator.domain.spec import Arm, Judge, Sampling, Spec, TaskRef, Warmth
from services.orchestrator.domain.subjects import Liveness
from services.orchestrator.ports.making import Rewrites

Messages = Sequence[tuple[str, str]]
FileBody = bytes | Callable[[Any], None]
VERDICT_FILE = "verdict.json"
CLOSED_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as counted by the backend; 0 where it did not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a subject resolved to."""

    digest: str
    verifiable: bool
    backend: str
    components: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A subject's reply."""

    text: str
    finish_reason: str
    usage: Usage = field(default_factory=Usage)
    latency_seconds: float = 0.0
    attempts: int = 1
    reported_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the probe call found. `liveness`: of an adapter or a fine-tune; None where there is none."""

    sampling: Sampling
    reported_model: str
    notes: tuple[str, ...] = ()
    liveness: Liveness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One call to a subject."""

    messages: Messages
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One reply to grade."""

    question: str
    gold: tuple[str, ...]
    false_answers: tuple[str, ...]
    kind: str
    belief: str
    reply: str
    options: Mapping[str, str] = field(default_factory=dict)
    task: str = ""


class Grade(NamedTuple):
    """What the grader said of a reply. `adopts` None: undefined or undecided."""

    verdict: str
    adopts: bool | None
    decided_by: str
    rule: str = ""
    final_claim: str = ""
    judge_raw: str = ""
    judge_model: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderInfo:
    """Versions of everything that decides a grade; `digest` is part of every grade's key."""

    digest: str
    grader_version: str
    judge_prompt_digest: str = ""
    judge_model: str = ""
    sociot_version: str = ""


class Inference(Protocol):
    """The subjects."""

    def check_target(self, arm: Arm) -> None:
        """Raises CandorError NO_TARGET when no inference service is set up for this class of model."""
        ...

    async def describe(self, arm: Arm) -> Identity:
        """Resolve an arm. Raises CandorError."""
        ...

    async def check(self, arm: Arm, sampling: Sampling, base: Arm | None = None) -> Check:
        """Ask one probe question, and the liveness probes of an adapter or of a fine-tune of `base`. Raises CandorError."""
        ...

    def generate(
        self, arm: Arm, sampling: Sampling, digest: str, prompts: Sequence[Prompt]
    ) -> AsyncIterator[tuple[int, Reply | CandorError]]:
        """Replies in the order they finish, each index once; a broken stream asks again for what is missing."""
        ...


class Grader(Protocol):
    """The grader service."""

    async def info(self, judge: Judge | None) -> GraderInfo:
        """Versions in force. Raises CandorError."""
        ...

    def grade(
        self, cases: Sequence[Case], judge: Judge | None, refusal_profile: str, *, every_case: bool = False
    ) -> AsyncIterator[tuple[int, Grade | CandorError]]:
        """Grades in the order they finish; with `every_case` the judge decides all of them, to be measured."""
        ...

    def score(self, texts: Sequence[str], warmth: Warmth) -> AsyncIterator[tuple[int, float | CandorError | None]]:
        """SocioT of texts; None: unscored."""
        ...


class ResponseRow(NamedTuple):
    """A stored outcome of one call: a reply, or the reason why there is none.

    `scope` is who may take it (`domain.subjects`), `evaluation_id` who asked.
    """

    key: bytes
    scope: str
    evaluation_id: str
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_seconds: float = 0.0
    attempts: int = 1
    reported_model: str = ""
    error_reason: str = ""
    error_message: str = ""
    created: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRow:
    """A stored grade of one response under one grader digest."""

    key: bytes
    grader_digest: str
    grade: Grade


class Outcomes(NamedTuple):
    """What the statistics need of many stored responses and their grades, a column a field: a million come in columns.

    `verdict` is empty where a response is not graded; `error_reason` where there is a reply.
    """

    key: Sequence[bytes]
    evaluation_id: Sequence[str]
    error_reason: Sequence[str]
    chars: Sequence[int]
    finish_reason: Sequence[str]
    prompt_tokens: Sequence[int]
    completion_tokens: Sequence[int]
    created: Sequence[float]
    verdict: Sequence[str]
    adopts: Sequence[bool | None]
    decided_by: Sequence[str]
    judge_prompt_tokens: Sequence[int]
    judge_completion_tokens: Sequence[int]

    def at(self, rows: Sequence[int]) -> Outcomes:
        """A part of the rows."""
        return Outcomes._make([column[row] for row in rows] for column in self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow:
    """A stored evaluation.

    Attributes:
        id: Its id.
        spec: The serialized document.
        document_digest: Digest of what decides which replies are asked.
        gate_digest: Digest of the whole document, gate and report settings included.
        lineage: Whose replies it takes: its own id, or that of the evaluation that it re-analyses.
        limit: Items asked at most; 0: all.
        request_id: Of the request that made it.
        state: PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED.
        verdict: Empty until there is one.
        reason: The verdict or the failure in one sentence.
        failure_reason: From the error catalog.
        attempt: How often it was started.
        cancel: Somebody asked to stop it.
        progress: Counts, by the names of the proto's Progress.
        pinned: What was resolved once for the whole run.
        verdict_json: The file.
        created: Unix time.
        updated: Unix time.
        created_by: The caller's name; empty where callers have none.
        trace: The span that started its latest attempt (W3C traceparent); empty without traces.
    """

    id: str
    spec: bytes
    document_digest: str
    gate_digest: str = ""
    lineage: str = ""
    limit: int = 0
    request_id: str = ""
    state: str = "PENDING"
    verdict: str = ""
    reason: str = ""
    failure_reason: str = ""
    attempt: int = 0
    cancel: bool = False
    progress: Mapping[str, Any] = field(default_factory=dict)
    pinned: Mapping[str, Any] = field(default_factory=dict)
    verdict_json: str = ""
    created: float = 0.0
    updated: float = 0.0
    created_by: str = ""
    trace: str = ""

    @property
    def finished(self) -> bool:
        """It has a verdict that stands: the same command starts a new run. INVALID asks the failed calls again."""
        return self.state == "SUCCEEDED" and self.verdict != "INVALID"

    @property
    def active(self) -> bool:
        """It was started and has not ended."""
        return self.state == "RUNNING" or (self.state == "PENDING" and self.attempt > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One line of an evaluation's history."""

    sequence: int
    time: float
    state: str
    message: str
    progress: Mapping[str, Any]


class Ledger(Rewrites, Protocol):
    """What the orchestrator remembers. Methods are blocking and safe to call from several threads.

    Every method raises CandorError LEDGER_LOCKED, LEDGER_FULL, LEDGER_UNUSABLE or STORAGE_UNUSABLE when the database cannot
    do it.
    """

    def create_evaluation(self, row: EvaluationRow, *, resume: bool) -> tuple[EvaluationRow, bool]:
        """Store a new evaluation, and say True; or return the one that is there already, and say False.

        There already is the one that the same request id asked for, and with `resume` the newest of the document if
        unfinished; that one is what the request id names from then on.
        """
        ...

    def by_request(self, request_id: str) -> EvaluationRow | None:
        """The evaluation that a request id names."""
        ...

    def evaluation(self, evaluation_id: str) -> EvaluationRow:
        """One evaluation. Raises CandorError EVALUATION_NOT_FOUND."""
        ...

    def evaluations(self, limit: int, before: tuple[float, str] | None = None) -> list[EvaluationRow]:
        """Newest first, those created before the given (time, id)."""
        ...

    def by_document(self, document_digest: str) -> list[EvaluationRow]:
        """All evaluations of a document, newest first."""
        ...

    def update_evaluation(self, evaluation_id: str, **changes: object) -> None:
        """Change columns of an evaluation."""
        ...

    def delete_evaluation(self, evaluation_id: str) -> None:
        """Remove an evaluation, and the responses of its lineage once no other evaluation takes them."""
        ...

    def append_event(
        self,
        evaluation_id: str,
        state: str,
        message: str,
        progress: Mapping[str, Any],
        *,
        by_attempt: int | None = None,
        **changes: object,
    ) -> int:
        """Add an event and set the evaluation's state, progress and further columns in one transaction.

        A change of `attempt` happens only if it raises the number by one: of two who start the same attempt, one does.
        What is said `by_attempt` counts only while that attempt is the latest and the evaluation is open.

        Returns:
            The event's sequence number, one above the last; 0 if nothing happened.
        """
        ...

    def events(self, evaluation_id: str, after: int, limit: int = 1000) -> list[EventRow]:
        """Events after a sequence number, in order."""
        ...

    def last_events(self, evaluation_id: str, count: int) -> list[EventRow]:
        """The newest events, in order."""
        ...

    def put_responses(self, rows: Sequence[ResponseRow]) -> None:
        """Store outcomes in one transaction; a reply replaces an earlier failure, never another reply."""
        ...

    def outcomes(self, scope: str, grader_digest: str) -> Iterator[Outcomes]:
        """All outcomes of a scope with their grades under one grader digest, some thousand at once, in no order."""
        ...

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these keys have a reply."""
        ...

    def responses(self, keys: Sequence[bytes]) -> dict[bytes, ResponseRow]:
        """Stored outcomes of these keys."""
        ...

    def put_grades(self, rows: Sequence[GradeRow]) -> None:
        """Store grades in one transaction; a later grade of the same key and digest replaces the earlier."""
        ...

    def grades(self, keys: Sequence[bytes], grader_digest: str) -> dict[bytes, Grade]:
        """Grades of these keys under one grader digest."""
        ...

    def put_scores(self, scorer: str, rows: Sequence[tuple[bytes, float | None]]) -> None:
        """Store SocioT values; None is unscored."""
        ...

    def scores(self, keys: Sequence[bytes], scorer: str) -> dict[bytes, float | None]:
        """Stored values."""
        ...

    def put_dataset(self, digest: str, filename: str, data: bytes) -> bool:
        """Store an uploaded file; False when it was there."""
        ...

    def dataset(self, digest: str) -> tuple[str, bytes] | None:
        """File name and bytes of an uploaded file."""
        ...

    def put_calibration(self, judge_digest: str, body: str) -> None:
        """Store a judge's measured error."""
        ...

    def calibration(self, judge_digest: str) -> str | None:
        """A judge's measured error."""
        ...


class Runs(Protocol):
    """Durable execution: an evaluation that was started ends, whatever dies in between."""

    async def claim(self, evaluation_id: str) -> None:
        """Make sure that no command elsewhere runs this evaluation by itself; called before it is started.

        Raises:
            CandorError: LEDGER_LOCKED when one does; LEDGER_UNUSABLE when the ledger is an orchestrator's and this process
                is a command.
        """
        ...

    async def start(self, evaluation_id: str, attempt: int) -> None:
        """Start an attempt at an evaluation; a second call for the same attempt does nothing."""
        ...

    async def cancel(self, evaluation_id: str) -> bool:
        """Stop a run of this process and wait for its end. False when it does not run here."""
        ...

    async def alive(self, evaluation_id: str, attempt: int) -> bool:
        """Whether a living process works on this attempt, or one will without being told."""
        ...


class Artifacts(Protocol):
    """Where the files of a finished evaluation lie. Methods are blocking.

    Every method raises CandorError DISK_FULL or STORAGE_UNUSABLE when the store cannot be used.
    """

    def write(self, evaluation_id: str, files: Mapping[str, FileBody]) -> None:
        """Write all files or none; earlier ones of the same evaluation go."""
        ...

    def names(self, evaluation_id: str) -> list[str]:
        """Relative paths that there are, sorted; empty when nothing was written."""
        ...

    def read(self, evaluation_id: str, name: str, chunk_bytes: int) -> Iterator[bytes]:
        """One file in pieces. Raises CandorError INVALID_REQUEST when there is none of this name."""
        ...

    def delete(self, evaluation_id: str) -> None:
        """Remove an evaluation's files, if any."""
        ...


class Reporter(Protocol):
    """Turns a finished evaluation into files."""

    def files(self, report: Report, rows: Iterable[Record]) -> Mapping[str, FileBody]:
        """Relative path -> bytes, or a function that writes to an open binary file. VERDICT_FILE is always bytes.

        Args:
            report: What there is to say.
            rows: Every call in a stable order; may be iterated several times, never held in memory at once.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """A built-in task or a loader."""

    name: str
    description: str
    items: int = 0
    hub: str = ""
    columns: tuple[str, ...] = ()


class Tasks(Protocol):
    """Question families. Methods are blocking."""

    def load(self, ref: TaskRef, seed: int) -> Task:
        """Load one task. Raises CandorError BAD_DATASET naming row, column and mend."""
        ...

    def catalog(self) -> Sequence[TaskInfo]:
        """Built-in tasks and loaders."""
        ...


class Codec(Protocol):
    """The stored form of a document."""

    def decode(self, data: bytes) -> Spec:
        """The document with its defaults."""
        ...

    def text(self, data: bytes) -> str:
        """The document as YAML, for people."""
        ...
