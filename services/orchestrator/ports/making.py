"""What making an arm needs from the world: the rewriter, the trainer, conversation files, and a place for what is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from chassis.errors import CandorError
from services.orchestrator.domain.making.conversations import Conversation, Messages
from services.orchestrator.domain.making.corrections import Fact
from services.orchestrator.domain.making.estimate import Estimate
from services.orchestrator.domain.making.rewrites import RewriteRow
from services.orchestrator.domain.models import Checkpoint, Endpoint
from services.orchestrator.domain.recipe import ConversationRef, ProviderTraining, RewriterChoice, Style, Training


class Problem(NamedTuple):
    """A row of a conversation file that is no conversation."""

    row: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxicity:
    """What was found of a conversation. `score` None: nothing measures it."""

    toxic: bool
    score: float | None = None
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A reply to rewrite, and the conversation up to it."""

    messages: Messages
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What came of an exchange. `failed`: the checks that the last attempt did not pass, (name, reason)."""

    text: str
    accepted: bool
    failed: tuple[tuple[str, str], ...] = ()
    attempts: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reported_model: str = ""
    style_shift: float = 0.0
    spend: float = 0.0


class Correction(NamedTuple):
    """A question with a false belief and its kind correction. `failed`: checks that were not passed, (name, reason)."""

    messages: Messages
    accepted: bool
    failed: tuple[tuple[str, str], ...] = ()


class Corrected(NamedTuple):
    """Corrections in the order of their facts, and the digest of their templates and certificate."""

    corrections: tuple[Correction, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriterInfo:
    """What a style and a source resolve to. What was bought under `digest` need not be bought again."""

    digest: str
    components: Mapping[str, str] = field(default_factory=dict)


class Rewriter(Protocol):
    """The rewriter service."""

    def read(
        self, chunks: Iterator[bytes], filename: str, file_format: str, max_turns: int
    ) -> AsyncIterator[Conversation | Problem]:
        """The conversations of a file, classified, in the order of the file. Raises CandorError."""
        ...

    def classify(
        self, conversations: Sequence[Conversation], toxicity: str, threshold: float
    ) -> AsyncIterator[tuple[int, Toxicity | CandorError]]:
        """Toxicity of conversations, in the order they finish, each index once."""
        ...

    async def describe(self, style: Style, choice: RewriterChoice) -> RewriterInfo:
        """What a style and a source resolve to. Raises CandorError."""
        ...

    def rewrite(
        self,
        style: Style,
        choice: RewriterChoice,
        exchanges: Sequence[Exchange],
        *,
        seed: int,
        spend_cap: float | None = None,
    ) -> AsyncIterator[tuple[int, Rewritten | CandorError]]:
        """Rewrites in the order they finish; a broken stream asks again for what is missing.

        The metadata of an error has `spend` where attempts before it were paid for.
        """
        ...

    async def correct(self, facts: Sequence[Fact], seed: int) -> Corrected:
        """Corrections of false beliefs about these facts. Raises CandorError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOrder:
    """A training job to be had: the same order is the same job.

    Attributes:
        base: The base model: a checkpoint is trained here, an endpoint at its provider.
        dataset: Path of the conversations, as the trainer sees it.
        dataset_digest: Of that file.
        training: Settings, of the kind that goes with the base.
        style: Name of the style, of which a provider makes a part of its model's name.
        name: For people.
    """

    base: Checkpoint | Endpoint
    dataset: str
    dataset_digest: str
    training: Training | ProviderTraining
    style: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A saved adapter, or the name of a provider's model."""

    epoch: float
    step: int
    path: str = ""
    digest: str = ""
    loss: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """A job as the trainer knows it.

    Attributes:
        state: PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED.
        facts: What was found before it started, for people.
        estimate: What it was expected to take; None where the trainer computes nothing itself.
        provider_job: As the provider calls it; empty for a training of ours.
        trained_tokens: With a loss, or as a provider counts them, each as often as it was seen.
    """

    name: str
    state: str
    reason: str = ""
    failure_reason: str = ""
    step: int = 0
    steps: int = 0
    checkpoints: tuple[Trained, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    estimate: Estimate | None = None
    created: float = 0.0
    updated: float = 0.0
    provider_job: str = ""
    trained_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """One line of a job's history. None: not said."""

    sequence: int
    state: str
    step: int
    steps: int
    epoch: float
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    message: str = ""
    time: float = 0.0


class Trainer(Protocol):
    """The trainer service."""

    async def check(self, order: TrainingOrder) -> tuple[str, ...]:
        """What a job would be refused for is raised as CandorError; what it would warn of is returned. Starts nothing."""
        ...

    async def create(self, order: TrainingOrder) -> TrainingJob:
        """Start a job, or find it. Raises CandorError."""
        ...

    def watch(self, name: str, after: int) -> AsyncIterator[TrainingStep]:
        """History from a sequence number on, until the job closes. Raises CandorError, also when the trainer stays away."""
        ...

    async def get(self, name: str) -> TrainingJob:
        """A job as it is now. Raises CandorError."""
        ...

    async def cancel(self, name: str) -> None:
        """Stop a job; checkpoints stay. Raises CandorError."""
        ...


class OpenedFile(NamedTuple):
    """A conversation file: its name, the digest of its bytes, and the bytes in pieces, which may be read once."""

    name: str
    digest: str
    chunks: Iterator[bytes]


class ConversationFiles(Protocol):
    """Where conversation files are. Methods are blocking."""

    def open(self, ref: ConversationRef) -> OpenedFile:
        """Open a file. Raises CandorError BAD_DATASET, PATH_NOT_ALLOWED."""
        ...


class Materials(Protocol):
    """Selections and datasets, in folders named by their content; the trainer sees them too. Methods are blocking.

    Every method raises CandorError DISK_FULL or STORAGE_UNUSABLE when the store cannot be used.
    """

    def has(self, folder: str, *names: str) -> bool:
        """Whether the folder is there, and these files in it."""
        ...

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write all files or none; a folder that is there with all of them is left as it is."""
        ...

    def read(self, folder: str, name: str) -> bytes:
        """One file."""
        ...

    def location(self, folder: str, name: str) -> str:
        """The file's path as the trainer sees it."""
        ...


class Rewrites(Protocol):
    """The part of the ledger about rewrites. Methods are blocking and safe to call from several threads."""

    def put_rewrites(self, rewriter_digest: str, rows: Sequence[RewriteRow]) -> None:
        """Store outcomes in one transaction; what is there stays."""
        ...

    def rewrites(self, rewriter_digest: str, keys: Sequence[bytes]) -> dict[bytes, RewriteRow]:
        """Stored outcomes of these exchanges."""
        ...

    def rewriting_spend(self, evaluation_id: str) -> float:
        """What the rewrites bought by an evaluation cost."""
        ...
