"""What a finished evaluation has to say: the input of every report (HTML, verdict.json, JUnit, terminal)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.orchestrator.domain.analysis.result import Comparison
from services.orchestrator.domain.gate.result import GateResult
from services.orchestrator.domain.making.made import MadeArm


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmReport:
    """What was asked of an arm, and what it was.

    Attributes:
        name: The arm.
        role: `baseline`, `candidate` or `other`.
        subject: URL and model, or the checkpoint's folder; for people.
        system_prompt: Its text, or empty.
        backend: Name of the inference backend.
        digest: Identity digest.
        verifiable: Whether equal digests mean equal models.
        components: What went into the digest.
        sampling: Parameter by name, as really sent.
        own_sampling: The document gives this arm sampling of its own.
        notes: Parameters that were refused, age of reused replies, and the like.
        calls: Outcomes there are, failed ones included.
        failed: Calls without a reply, by reason.
        cut: Replies that ended with finish_reason `length`.
        reused: Replies taken from earlier work.
        prompt_tokens: As the backend counted them.
        completion_tokens: As the backend counted them.
        spend: In the document's currency; None without prices.
        mean_chars: Mean length of replies in characters; None without replies.
        mean_warmth: Mean SocioT of replies; None where not measured.
    """

    name: str
    role: str
    subject: str
    system_prompt: str = ""
    backend: str = ""
    digest: str = ""
    verifiable: bool = False
    components: Mapping[str, str] = field(default_factory=dict)
    sampling: Mapping[str, str] = field(default_factory=dict)
    own_sampling: bool = False
    notes: tuple[str, ...] = ()
    calls: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    cut: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    spend: float | None = None
    mean_chars: float | None = None
    mean_warmth: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """A task as it was asked."""

    name: str
    items: int
    asked: int
    digest: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A pair of replies to one prompt of which only one is right.

    Attributes:
        candidate: The treated arm.
        direction: `worse` (baseline right, candidate wrong) or `better`.
        score: Order of interest, highest first (adopted the false belief, both deterministic, short).
    """

    candidate: str
    direction: str
    task: str
    item: str
    context: str
    belief: str
    repeat: int
    prompt: str
    gold: str
    false_answer: str
    baseline_reply: str
    candidate_reply: str
    baseline_verdict: str
    candidate_verdict: str
    adopts_belief: bool | None = None
    decided_by: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the reports show. Rates and differences are shares.

    Attributes:
        evaluation: Id of the evaluation.
        name: Its family name.
        verdict: PASS, FAIL, INCONCLUSIVE, INVALID, or NONE for a research document.
        reason: The verdict in one sentence; of a research document, what its contrasts found.
        gates: One for each gate and candidate.
        dropped_gates: (gate, reason) of defaults that the document's cells leave out.
        comparisons: The document's contrasts first, then candidates against the baseline.
        flips: Capped; `flip_counts` has the true numbers by (candidate, direction).
        caveats: What a reader must know before trusting the verdict (limit, uncalibrated judge, omitted parameters).
        versions: Program, grader, judge, scorer, data files, by name.
        seed: Seed of the run.
        judge: Judge as it reported itself, or empty.
        judge_calibration: `calibrated on N labels`, `uncalibrated`, or empty without a judge.
        warmth: `metric, scorer, estimator`; or why it was not measured; empty when not asked for.
        stage_seconds: Where the time went, by stage.
        created: Unix time.
        finished: Unix time.
        document: The document as YAML, secrets are never in it.
        made: Arms that were made for this evaluation, and how.
    """

    evaluation: str
    name: str
    verdict: str
    reason: str
    baseline: str
    candidates: tuple[str, ...]
    alpha: float
    stopping: str
    looks_done: int
    looks_total: int
    gates: tuple[GateResult, ...]
    dropped_gates: tuple[tuple[str, str], ...]
    comparisons: tuple[Comparison, ...]
    arms: tuple[ArmReport, ...]
    tasks: tuple[TaskReport, ...]
    flips: tuple[Flip, ...]
    flip_counts: Mapping[tuple[str, str], int]
    caveats: tuple[str, ...]
    versions: Mapping[str, str]
    seed: int
    judge: str = ""
    judge_calibration: str = ""
    warmth: str = ""
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    created: float = 0.0
    finished: float = 0.0
    document_digest: str = ""
    limit: int = 0
    document: str = ""
    made: tuple[MadeArm, ...] = ()
