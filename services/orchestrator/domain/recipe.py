"""How an arm is made: conversations, rewritten into a style, and a LoRA adapter or a provider's model trained on them.

Source of the defaults: METHOD sections 2, 3 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.orchestrator.domain.models import Endpoint, Prices, Sampling
from services.orchestrator.domain.plain import LATER

WARM, COLD, UNTRANSFORMED, WARM_CORRECTIVE = "warm", "cold", "untransformed", "warm_corrective"
STYLES = (WARM, COLD, UNTRANSFORMED, WARM_CORRECTIVE)
CATEGORIES = ("refusal", "factual", "creative", "technical", "advice", "other")
TOXICITY = ("", "detoxify", "lexical", "none")
FORMATS = ("", "sharegpt", "messages")
MAX_TURNS = 20
SIZE, VALIDATION_SIZE = 1617, 1500
CHECKPOINT_EPOCHS = (0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0)
CORRECTED_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A built-in style by its name, or a style of the user's own.

    Attributes:
        instruction: What the rewriting model is told of it.
        direction: What the certificate expects of the lexical warmth: `warmer`, `colder`, `same`.
        openings: For the `rules` rewriter, as are the following.
        own: Not built in.
    """

    name: str
    instruction: str = ""
    direction: str = ""
    openings: tuple[str, ...] = ()
    closings: tuple[str, ...] = ()
    replacements: Mapping[str, str] = field(default_factory=dict)
    own: bool = False

    @property
    def rewritten(self) -> Style:
        """The style that replies are rewritten into: corrections are added to a warm set."""
        return Style(name=WARM) if self.corrective else self

    @property
    def corrective(self) -> bool:
        """Whether corrections are a part of it."""
        return not self.own and self.name == WARM_CORRECTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRef:
    """Where conversations come from. Exactly one of path and dataset is set."""

    path: str = ""
    dataset: str = ""
    format: str = ""
    toxicity: str = ""
    toxicity_threshold: float = 0.5
    unbalanced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriterChoice:
    """Who rewrites. `endpoint` None: the embedded rules. `sampling` None: the rewriter's own."""

    endpoint: Endpoint | None = None
    sampling: Sampling | None = None
    prices: Prices | None = None
    spend_cap: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Settings of the fine-tuning. None, or empty: the trainer decides by its device."""

    lora_r: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.1
    target_modules: tuple[str, ...] = ()
    learning_rate: float = 1e-5
    epochs: float = 10.0
    batch_size: int = 16
    device_batch_size: int | None = None
    max_length: int = 1024
    checkpoint_epochs: tuple[float, ...] = CHECKPOINT_EPOCHS
    seed: int = 1
    gradient_checkpointing: bool | None = None
    batching: str = "group_by_length"
    precision: str = ""
    schedule: str = "linear"
    warmup: float = 0.03
    weight_decay: float = field(default=0.0, metadata=LATER)
    processes: int = field(default=1, metadata=LATER)

    def steps(self, conversations: int) -> int:
        """Optimizer steps on so many conversations, as the trainer counts them: fractions of an epoch are steps, too."""
        return _steps(self.epochs, self.batch_size, conversations)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTraining:
    """Settings that a provider's fine-tuning API takes. `learning_rate_multiplier` None: the provider decides."""

    epochs: float = 10.0
    batch_size: int = 16
    learning_rate_multiplier: float | None = None
    seed: int = 1

    def steps(self, conversations: int) -> int:
        """See Training."""
        return _steps(self.epochs, self.batch_size, conversations)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointChoice:
    """Which of the saved epochs is the arm. `epoch` None: the rule decides, on the arm `choose_on`."""

    epoch: float | None = None
    choose_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sft:
    """A recipe.

    Attributes:
        base: Name of the arm that is trained on.
        style: What the replies are rewritten into.
        conversations: What is rewritten.
        size: Conversations to train on.
        validation_size: Prompts for the choice of the checkpoint.
        rewriter: Who rewrites.
        corrections: Share of the exchanges that are corrections.
        training: How it is trained: here, on a checkpoint, or at a provider, on an endpoint.
        checkpoint: Which checkpoint it becomes.
        seed: Of sampling and splitting the conversations.
    """

    base: str
    style: Style
    conversations: ConversationRef
    size: int = SIZE
    validation_size: int = VALIDATION_SIZE
    rewriter: RewriterChoice = field(default_factory=RewriterChoice)
    corrections: float = 0.0
    training: Training | ProviderTraining = field(default_factory=Training)
    checkpoint: CheckpointChoice = field(default_factory=CheckpointChoice)
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The recipes on one base, by arm. They agree in everything but style and corrections."""

    base: str
    arms: Mapping[str, Sft]

    @property
    def common(self) -> Sft:
        """What they agree in; its style says nothing."""
        return next(iter(self.arms.values()))

    @property
    def chooser(self) -> str:
        """The arm whose warmth decides on the checkpoint; empty where none is named and none is warm."""
        if self.common.checkpoint.choose_on:
            return self.common.checkpoint.choose_on
        return next((name for name, sft in self.arms.items() if sft.style == Style(name=WARM)), "")

    @property
    def measured(self) -> bool:
        """Whether the checkpoint is chosen by looking."""
        return self.common.checkpoint.epoch is None

    @property
    def validation_size(self) -> int:
        """Validation prompts that are needed: none when the epoch is given."""
        return self.common.validation_size if self.measured else 0

    @property
    def styles(self) -> dict[str, Style]:
        """The styles that replies are rewritten into, by name."""
        return {sft.style.rewritten.name: sft.style.rewritten for sft in self.arms.values()}


def checkpoint_epochs(given: Sequence[float], epochs: float) -> tuple[float, ...]:
    """Where adapters are saved: as given or the study's checkpoints within the training, and always at its end."""
    wanted = tuple(given) or tuple(epoch for epoch in CHECKPOINT_EPOCHS if epoch <= epochs)
    return wanted if wanted and wanted[-1] >= epochs else (*wanted, epochs)


def _steps(epochs: float, batch_size: int, conversations: int) -> int:
    batch = min(batch_size, conversations)
    return max(1, round(epochs * conversations / batch)) if batch else 0
