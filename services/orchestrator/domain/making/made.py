"""What is known of an arm once it is made: for the report, and to go on without making it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from services.orchestrator.domain.making.choice import Point, saved_at
from services.orchestrator.domain.models import Checkpoint, Endpoint
from services.orchestrator.domain.spec import Arm, Spec


class Loss(NamedTuple):
    """A point of the training curve."""

    step: int
    epoch: float
    loss: float
    learning_rate: float | None = None


class Saved(NamedTuple):
    """A saved adapter, or a provider's model."""

    epoch: float
    step: int
    digest: str
    path: str
    loss: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeArm:
    """An arm that was made.

    Attributes:
        arm: Its name.
        base: Name of the arm that it was trained on.
        style: Name of the style.
        training: Settings, as text.
        card: The dataset card (`domain/making/card.py`).
        job: The training job.
        facts: What the trainer found before it started.
        losses: The training curve, thinned.
        checkpoints: By rising epoch.
        curve: Warmth by epoch, where this arm decided on the checkpoint.
        chosen_on: Name of the arm that decided; empty where the document gives the epoch.
        epoch: The one that was taken.
        rule: How it was found.
        seconds: From the start of the training to its end.
        versions: Of everything that trained.
        provider_job: As the provider calls it; empty for a training of ours, as are the following.
        model: Name of the provider's model that the arm is.
        spend: What the provider's training cost this evaluation, where the base's prices say; a job that was there cost nothing.
    """

    arm: str
    base: str
    style: str
    training: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    checkpoints: tuple[Saved, ...] = ()
    curve: tuple[Point, ...] = ()
    chosen_on: str = ""
    epoch: float = 0.0
    rule: str = ""
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    provider_job: str = ""
    model: str = ""
    spend: float | None = None

    @property
    def taken(self) -> Saved | None:
        """What was saved at `epoch`: what the arm is."""
        return saved_at(self.checkpoints, self.epoch)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MadeArm:
        """The inverse of `dataclasses.asdict`, through JSON."""
        changes = {
            "losses": tuple(Loss(*each) for each in value["losses"]),
            "checkpoints": tuple(Saved(*each) for each in value["checkpoints"]),
            "curve": tuple(Point(**each) for each in value["curve"]),
        }
        return cls(**{**value, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The arms of a document that were made.

    Attributes:
        arms: In the order of the report.
        adapters: The checkpoint with an adapter that an arm is now.
        models: Name of the model that an arm is now, behind the URL and key of its base.
        warnings: What a reader must know.
    """

    arms: tuple[MadeArm, ...] = ()
    adapters: Mapping[str, Checkpoint] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def bases(self) -> dict[str, str]:
        """Base arm by arm that was made from it."""
        return {each.arm: each.base for each in self.arms}

    def applied(self, spec: Spec) -> Spec:
        """The document with every recipe replaced by what came of it."""
        arms = dict(spec.arms)
        for name, checkpoint in self.adapters.items():
            arms[name] = replace(arms[name], source=checkpoint)
        for name, base in self.tuned_from(spec).items():
            assert isinstance(base.source, Endpoint)
            arms[name] = replace(arms[name], source=replace(base.source, model=self.models[name]))
        return replace(spec, arms=arms)

    def tuned_from(self, spec: Spec) -> dict[str, Arm]:
        """What each arm that a provider fine-tuned would be without the fine-tuning: its base under its own system prompt."""
        return {
            name: replace(spec.arms[name], source=spec.arms[self.bases[name]].source)
            for name in self.models
            if name in spec.arms
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Made:
        """The inverse of `to_json`."""
        return cls(
            arms=tuple(MadeArm.from_json(each) for each in value["arms"]),
            adapters={name: Checkpoint(**each) for name, each in value["adapters"].items()},
            models=value.get("models", {}),
            warnings=tuple(value["warnings"]),
        )
