"""The arms of a run as they were resolved: identity, sampling as accepted, scope, draw, and the keys that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from services.orchestrator.domain import keys
from services.orchestrator.domain.spec import Arm, Sampling
from services.orchestrator.domain.workload import Slot

_HIDES = 2 / 3  # of a floor: 1.5 times it is everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """Whether an adapter or a fine-tune changes its base.

    Attributes:
        difference: The largest of token log-probabilities, in nats; under `greedy_text` the share of probes in other words.
        floor: The same between two passes of one model.
        probes: How many were put.
        reason: Why it is not alive where no difference could be measured.
        measure: `logprobs` or `greedy_text`.
    """

    alive: bool
    difference: float = 0.0
    floor: float = 0.0
    probes: int = 0
    reason: str = ""
    measure: str = "logprobs"

    @property
    def told(self) -> bool:
        """Whether the probes could tell: a model that hardly ever says the same twice hides what was done to it."""
        return self.measure != "greedy_text" or self.floor < _HIDES


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What describing and checking an arm found; pinned in the evaluation, so that resumes and re-analyses keep it."""

    digest: str
    verifiable: bool
    backend: str
    components: Mapping[str, str]
    sampling: Sampling
    reported_model: str = ""
    notes: tuple[str, ...] = ()
    liveness: Liveness | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        value = asdict(self)
        value["components"] = dict(self.components)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Resolved:
        """The inverse of `to_json`."""
        sampling = dict(value["sampling"])
        sampling["omit"] = tuple(sampling["omit"])
        found = value.get("liveness")
        liveness = Liveness(**found) if found else None
        changes = {"sampling": Sampling(**sampling), "notes": tuple(value["notes"]), "liveness": liveness}
        return cls(**{**value, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An arm ready to be asked.

    Attributes:
        arm: As in the document.
        found: What it resolved to.
        scope: Who may take its replies: the identity digest (everybody) or `lineage/arm`.
        draw: How many earlier arms of this evaluation are the same subject with the same sampling.
        prefix: What the keys of its calls share.
    """

    arm: Arm
    found: Resolved
    scope: str
    draw: int
    prefix: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the arm."""
        return self.arm.name

    @property
    def shared(self) -> bool:
        """Whether any run may take its replies."""
        return self.found.verifiable

    def key(self, slot: Slot) -> bytes:
        """Content key of a call."""
        return keys.response_key(self.prefix, slot.prompt, slot.repeat)

    def keys(self, slots: Sequence[Slot]) -> list[bytes]:
        """Content keys of many calls, in order."""
        return keys.response_keys(self.prefix, ((slot.prompt, slot.repeat) for slot in slots))

    def seed(self, slot: Slot) -> int:
        """Seed of a call."""
        return keys.call_seed(self.found.sampling.seed, slot.prompt, slot.repeat, self.draw)


def arm_scope(lineage: str, arm: str) -> str:
    """Scope of an arm whose identity cannot be verified."""
    return f"{lineage}/{arm}"


def subjects(arms: Sequence[Arm], found: Mapping[str, Resolved], lineage: str) -> tuple[Subject, ...]:
    """The subjects, in the order given; that order decides which of two equal arms draws first."""
    seen: dict[tuple[str, Sampling], int] = {}
    result = []
    for arm in arms:
        resolved = found[arm.name]
        same = (resolved.digest, resolved.sampling)
        draw = seen.get(same, 0)
        seen[same] = draw + 1
        scope = "" if resolved.verifiable else arm_scope(lineage, arm.name)
        prefix = keys.subject_prefix(resolved.digest, resolved.sampling, scope, draw)
        result.append(Subject(arm=arm, found=resolved, scope=scope or resolved.digest, draw=draw, prefix=prefix))
    return tuple(result)


# What arms of the same weights must share, or a difference between them says nothing of their treatment.
_SHARED = ("tokenizer", "chat_template", "engine", "precision")


def unlike(arms: Sequence[Subject], bases: Mapping[str, str] | None = None) -> list[str]:
    """Arms that derive from one base and differ in what they should share, a sentence for each pair.

    Endpoint arms are compared as deployed, so they are left out. An adapter is no difference: it is the treatment.

    Args:
        arms: All of them.
        bases: Base arm by arm that was made from it; their weights must be the base's own, with the adapter beside them.
    """
    found = []
    first: dict[str, Subject] = {}
    for arm in arms:
        base = arm.found.components.get("weights", "")
        if not base:
            continue
        other = first.setdefault(base, arm)
        differing = [name for name in _SHARED if arm.found.components.get(name) != other.found.components.get(name)]
        if differing:
            found.append(f"{other.name} and {arm.name} have the same weights but not the same {', '.join(differing)}")
    by_name = {arm.name: arm for arm in arms}
    for name, base in (bases or {}).items():
        if name in by_name and base in by_name and _weights(by_name[name]) != _weights(by_name[base]):
            found.append(f"{name} was made from {base} but does not run on its weights")
    return found


def dead(arms: Sequence[Subject]) -> list[str]:
    """Arms whose adapter or fine-tuning changes nothing, a sentence each: they would be measured as their base."""
    return [
        _dead(arm.name, arm.found.liveness)
        for arm in arms
        if arm.found.liveness is not None and not arm.found.liveness.alive
    ]


def _dead(name: str, found: Liveness) -> str:
    if found.measure == "greedy_text":
        return (
            f"the fine-tune of {name} is not alive: of its greedy replies to {found.probes} probes {found.difference:.0%} differ "
            f"from those of its base, and two passes of one model differ in {found.floor:.0%}"
        )
    why = found.reason or (
        f"its replies cannot be told from those of its base (they differ by {found.difference:.2g} nats, two passes of one "
        f"model by {found.floor:.2g})"
    )
    return f"the adapter of {name} is not alive: {why}"


def _weights(arm: Subject) -> str:
    return arm.found.components.get("weights", "")
