"""What the orchestrator needs from the world, as the inside sees it. Backends implement these; tests bring fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chassis.errors import CandorError
from services.orchestrator.domain.spec import Arm, Judge, Sampling, Warmth

Messages = Sequence[tuple[str, str]]


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
    """What the probe call found."""

    sampling: Sampling
    reported_model: str
    notes: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """What the grader said of a reply. `adopts` None: undefined or undecided."""

    verdict: str
    adopts: bool | None
    decided_by: str
    rule: str = ""
    final_claim: str = ""
    judge_raw: str = ""
    judge_model: str = ""
    usage: Usage = field(default_factory=Usage)


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

    async def describe(self, arm: Arm) -> Identity:
        """Resolve an arm. Raises CandorError."""
        ...

    async def check(self, arm: Arm, sampling: Sampling) -> Check:
        """Ask one probe question. Raises CandorError."""
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
        self, cases: Sequence[Case], judge: Judge | None, refusal_profile: str
    ) -> AsyncIterator[tuple[int, Grade | CandorError]]:
        """Grades in the order they finish."""
        ...

    def score(self, texts: Sequence[str], warmth: Warmth) -> AsyncIterator[tuple[int, float | CandorError | None]]:
        """SocioT of texts; None: unscored."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRow:
    """A stored outcome of one call: a reply, or the reason why there is none."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow:
    """A stored evaluation. `spec` is the serialized document; `pinned` what was resolved once for the whole run."""

    id: str
    spec: bytes
    document_digest: str
    limit: int
    request_id: str = ""
    state: str = "PENDING"
    verdict: str = ""
    reason: str = ""
    failure_reason: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)
    pinned: Mapping[str, Any] = field(default_factory=dict)
    verdict_json: str = ""
    created: float = 0.0
    updated: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One line of an evaluation's history."""

    sequence: int
    time: float
    state: str
    message: str
    progress: Mapping[str, Any]


class Ledger(Protocol):
    """What the orchestrator remembers. Methods are blocking and safe to call from several threads."""

    def create_evaluation(self, row: EvaluationRow) -> EvaluationRow:
        """Store a new evaluation; with a request id already known, return that one instead."""
        ...

    def evaluation(self, evaluation_id: str) -> EvaluationRow:
        """One evaluation. Raises CandorError EVALUATION_NOT_FOUND."""
        ...

    def evaluations(self, limit: int, before: tuple[float, str] | None = None) -> list[EvaluationRow]:
        """Newest first, those created before the given (time, id)."""
        ...

    def unfinished(self, document_digest: str) -> EvaluationRow | None:
        """The newest evaluation of this document that has no final verdict."""
        ...

    def update_evaluation(self, evaluation_id: str, **changes: object) -> None:
        """Change columns of an evaluation."""
        ...

    def delete_evaluation(self, evaluation_id: str) -> None:
        """Remove an evaluation and the responses that only it can use."""
        ...

    def append_event(self, evaluation_id: str, state: str, message: str, progress: Mapping[str, Any]) -> int:
        """Add an event; returns its sequence number."""
        ...

    def events(self, evaluation_id: str, after: int, limit: int = 1000) -> list[EventRow]:
        """Events after a sequence number, in order."""
        ...

    def put_responses(self, rows: Sequence[ResponseRow]) -> None:
        """Store outcomes in one transaction; a reply replaces an earlier failure, never another reply."""
        ...

    def answered(self, scopes: Iterable[str], not_before: Mapping[str, float]) -> set[bytes]:
        """Keys that have a reply under these scopes; `not_before` bounds the age of a scope's replies."""
        ...

    def failed_keys(self, scopes: Iterable[str]) -> dict[bytes, tuple[str, str]]:
        """Keys whose last outcome is a failure, with reason and message."""
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

    def start(self, evaluation_id: str) -> None:
        """Start or go on; a run under way is left alone."""
        ...

    def cancel(self, evaluation_id: str) -> None:
        """Ask a run to stop."""
        ...


class Artifacts(Protocol):
    """Where the files of a finished evaluation lie."""

    def write(self, evaluation_id: str, files: Mapping[str, bytes | Callable[[Any], None]]) -> None:
        """Write all files or none."""
        ...

    def names(self, evaluation_id: str) -> list[str]:
        """Relative paths that there are."""
        ...

    def read(self, evaluation_id: str, name: str) -> bytes:
        """One file."""
        ...
