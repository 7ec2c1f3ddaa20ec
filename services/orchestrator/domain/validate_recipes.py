"""What can be wrong with arms that have to be made."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from services.orchestrator.domain.models import Checkpoint, Endpoint, Prices, Sampling
from services.orchestrator.domain.recipe import (
    FORMATS,
    STYLES,
    TOXICITY,
    Group,
    ProviderTraining,
    Sft,
    Style,
    Training,
)
from services.orchestrator.domain.spec import Spec

Found = Iterator[tuple[str, str]]
_STYLE_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_DIRECTIONS = ("", "warmer", "colder", "same")
_BATCHING = ("group_by_length", "packing", "plain")
_PRECISIONS = ("", "bf16", "fp32")
_SCHEDULES = ("linear", "constant", "cosine")
_SEED = 2**32 - 1
_NO_ADAPTERS = ("lm_head", "embed_tokens")
_MOST_CONVERSATIONS = 1_000_000
_MOST_EPOCHS, _MOST_BATCH = 1000, 4096
# What the arms of one base agree in, as the document names it.
_SHARED = ("conversations", "size", "validation_size", "rewriter", "training", "checkpoint", "seed")


def recipe_violations(
    spec: Spec, endpoint: Callable[[str, Endpoint], Found], sampling: Callable[[str, Sampling], Found]
) -> Found:
    """Every bad field of every recipe.

    Args:
        spec: The document.
        endpoint: What is wrong with an endpoint at a path.
        sampling: The same for sampling.
    """
    for name, arm in spec.arms.items():
        if isinstance(arm.source, Sft):
            path = f"arms.{name}.sft"
            yield from _base(spec, path, arm.source)
            yield from _style(path, arm.source)
            yield from _conversations(path, arm.source)
            yield from _rewriter(path, arm.source, endpoint, sampling)
            yield from _training(f"{path}.training", arm.source.training)
            yield from _checkpoint(spec, path, arm.source)
            if arm.revision:
                text = "is for endpoints that are served already; what is made is known by its weights or its job"
                yield f"arms.{name}.revision", text
    for group in spec.groups():
        yield from _group(group)
    yield from _training_prices(spec)


def _base(spec: Spec, path: str, sft: Sft) -> Found:
    bases = sorted(name for name, arm in spec.arms.items() if not isinstance(arm.source, Sft))
    known = f"arms to train on are {', '.join(bases)}" if bases else "add an arm with a checkpoint or an endpoint"
    base = spec.arms.get(sft.base)
    if not sft.base:
        yield f"{path}.base", f"is required: the arm to train on; {known}"
    elif base is None:
        yield f"{path}.base", f"no arm is called {sft.base!r}; {known}"
    elif isinstance(base.source, Sft):
        yield f"{path}.base", f"{sft.base!r} has to be made itself, so it cannot be trained on; {known}"
    elif isinstance(base.source, Checkpoint) and base.source.adapter:
        yield f"{path}.base", f"{sft.base!r} has an adapter already; name an arm of the checkpoint alone"
    elif base.system_prompt is not None:
        yield f"{path}.base", f"{sft.base!r} has a system prompt, which training would leave out; name an arm without"


def _style(path: str, sft: Sft) -> Found:
    style = sft.style
    if style.own:
        if not _STYLE_NAME.fullmatch(style.name):
            yield f"{path}.style_definition.name", "has letters, digits, `_`, `-`; at most 63"
        elif style.name in STYLES:
            yield f"{path}.style_definition.name", f"{style.name!r} is built in; take another name"
        if style.direction not in _DIRECTIONS:
            yield f"{path}.style_definition.direction", f"{style.direction!r} is unknown; use warmer, colder or same"
        if sft.rewriter.endpoint is not None and not style.instruction:
            yield f"{path}.style_definition.instruction", "is required where a model rewrites"
    elif not style.name:
        yield f"{path}.style", f"is required: {', '.join(STYLES)}, or a style_file of your own"
    elif style.name not in STYLES:
        yield f"{path}.style", f"{style.name!r} is not built in; use {', '.join(STYLES)}, or a style_file of your own"
    if not 0 <= sft.corrections < 1:
        yield f"{path}.corrections.share", f"is {sft.corrections}; must be 0 or more and below 1"
    elif sft.corrections and not style.corrective:
        yield f"{path}.corrections", "belongs to the style warm_corrective"


def _conversations(path: str, sft: Sft) -> Found:
    source = sft.conversations
    given = [word for word in ("path", "dataset") if getattr(source, word)]
    if len(given) != 1:
        yield f"{path}.conversations", "has path and dataset; give one" if given else "is required: give a path"
    for word, known in (("format", FORMATS), ("toxicity", TOXICITY)):
        value = getattr(source, word)
        if value not in known:
            yield f"{path}.conversations.{word}", f"{value!r} is unknown; use {', '.join(filter(None, known))}"
    if not 0 < source.toxicity_threshold <= 1:
        yield (
            f"{path}.conversations.toxicity_threshold",
            f"is {source.toxicity_threshold}; must be above 0 and at most 1",
        )
    for word in ("size", "validation_size"):
        if not 1 <= getattr(sft, word) <= _MOST_CONVERSATIONS:
            yield f"{path}.{word}", f"is {getattr(sft, word)}; must be 1 to {_MOST_CONVERSATIONS}"


def _rewriter(
    path: str,
    sft: Sft,
    endpoint: Callable[[str, Endpoint], Found],
    sampling: Callable[[str, Sampling], Found],
) -> Found:
    choice = sft.rewriter
    where = f"{path}.rewriter"
    if choice.endpoint is not None:
        yield from endpoint(f"{where}.endpoint", choice.endpoint)
    elif choice.prices is not None or choice.spend_cap is not None:
        yield where, "the embedded rules cost nothing; prices and spend_cap go with an endpoint"
    if choice.sampling is not None:
        yield from sampling(f"{where}.sampling", choice.sampling)
    if choice.prices is not None:
        for word in ("prompt_per_million", "completion_per_million"):
            value = getattr(choice.prices, word)
            if not (math.isfinite(value) and value >= 0):
                yield f"{where}.prices.{word}", f"is {value}; must be 0 or more"
    if choice.spend_cap is not None:
        if not choice.spend_cap > 0:
            yield f"{where}.spend_cap", f"is {choice.spend_cap}; must be above 0"
        if choice.endpoint is not None and choice.prices is None:
            yield f"{where}.spend_cap", "needs prices, or nobody knows what is spent"


def _training(path: str, training: Training | ProviderTraining) -> Found:
    """What the trainer would refuse, known before anything is read or paid; a contract test holds the two equal."""
    yield from _at_a_provider(path, training) if isinstance(training, ProviderTraining) else _lora(path, training)


def _at_a_provider(path: str, training: ProviderTraining) -> Found:
    for word, low, high in (("epochs", 1, _MOST_EPOCHS), ("batch_size", 1, _MOST_BATCH), ("seed", 0, _SEED)):
        value = getattr(training, word)
        if not low <= value <= high:
            yield f"{path}.{word}", f"is {value:g}; must be {low} to {high} at a provider"
        elif value != int(value):
            yield f"{path}.{word}", f"is {value:g}; must be whole at a provider"
    multiplier = training.learning_rate_multiplier
    if multiplier is not None and not 0 < multiplier <= 100:
        yield f"{path}.learning_rate_multiplier", f"is {multiplier:g}; must be above 0 and at most 100"


def _lora(path: str, training: Training) -> Found:
    for word, low, high in (
        ("lora_r", 1, 512),
        ("batch_size", 1, _MOST_BATCH),
        ("max_length", 8, 1_048_576),
        ("seed", 0, _SEED),
    ):
        value = getattr(training, word)
        if not low <= value <= high:
            yield f"{path}.{word}", f"is {value}; must be {low} to {high}"
    rows = training.device_batch_size
    if rows is not None and not 1 <= rows <= training.batch_size:
        yield f"{path}.device_batch_size", f"is {rows}; must be 1 to batch_size ({training.batch_size})"
    for word, most in (("lora_alpha", 4096), ("learning_rate", 1), ("epochs", _MOST_EPOCHS)):
        value = getattr(training, word)
        if not 0 < value <= most:
            yield f"{path}.{word}", f"is {value}; must be above 0 and at most {most}"
    for index, module in enumerate(training.target_modules):
        if not module.strip() or module in _NO_ADAPTERS:
            text = f"is {module!r}; name projections: adapters on {' or '.join(_NO_ADAPTERS)} cannot be served"
            yield f"{path}.target_modules[{index}]", text
    if not 0 <= training.weight_decay <= 1:
        yield f"{path}.weight_decay", f"is {training.weight_decay}; must be 0 to 1"
    if training.processes < 1 or training.batch_size % training.processes:
        yield f"{path}.processes", f"is {training.processes}; must divide batch_size ({training.batch_size})"
    for word in ("lora_dropout", "warmup"):
        value = getattr(training, word)
        if not 0 <= value < 1:
            yield f"{path}.{word}", f"is {value}; must be 0 or more and below 1"
    for word, known in (("batching", _BATCHING), ("precision", _PRECISIONS), ("schedule", _SCHEDULES)):
        value = getattr(training, word)
        if value not in known:
            yield f"{path}.{word}", f"{value!r} is unknown; use {', '.join(filter(None, known))}"
    for index, epoch in enumerate(training.checkpoint_epochs):
        if not 0 < epoch <= training.epochs:
            yield (
                f"{path}.checkpoint_epochs[{index}]",
                f"is {epoch}; must be above 0 and within the {training.epochs:g} epochs",
            )
        elif index and epoch <= training.checkpoint_epochs[index - 1]:
            yield f"{path}.checkpoint_epochs[{index}]", "must rise"


def _checkpoint(spec: Spec, path: str, sft: Sft) -> Found:
    choice = sft.checkpoint
    if choice.epoch is not None:
        if choice.choose_on:
            yield f"{path}.checkpoint", "has epoch and choose_on; give one"
        if isinstance(sft.training, ProviderTraining):
            epochs = sft.training.epochs
            if not (1 <= choice.epoch <= epochs and choice.epoch == int(choice.epoch)):
                text = f"is {choice.epoch:g}; a provider saves whole epochs, here 1 to {epochs:g}"
                yield f"{path}.checkpoint.epoch", text
        elif choice.epoch not in (saved := sft.training.checkpoint_epochs):
            known = ", ".join(f"{epoch:g}" for epoch in saved)
            yield f"{path}.checkpoint.epoch", f"{choice.epoch:g} is not among the epochs that are saved ({known})"
    elif choice.choose_on:
        arm = spec.arms.get(choice.choose_on)
        source = arm.source if arm else None
        if not isinstance(source, Sft) or source.base != sft.base:
            yield f"{path}.checkpoint.choose_on", f"{choice.choose_on!r} is not an arm made from {sft.base!r}"


def _group(group: Group) -> Found:
    first, *others = group.arms
    for name in others:
        for word in _SHARED:
            if getattr(group.arms[name], word) != getattr(group.arms[first], word):
                text = f"differs from that of {first}: the arms of one base agree in everything but the style"
                yield f"arms.{name}.sft.{word}", text
    if group.measured and not group.chooser:
        text = f"no arm of {group.base} is warm: name the arm that decides in choose_on, or give an epoch"
        yield f"arms.{first}.sft.checkpoint", text
    named: dict[str, Style] = {}
    for name, sft in group.arms.items():
        known = named.setdefault(sft.style.name, sft.style)
        if sft.style.own and known != sft.style:
            text = f"is called {sft.style.name!r} as another style of this document is; take another name"
            yield f"arms.{name}.sft.style_definition.name", text


def _training_prices(spec: Spec) -> Found:
    """A price of training stands where others are trained from, and nowhere else."""
    bases = {group.base for group in spec.groups() if isinstance(group.common.training, ProviderTraining)}
    places: dict[str, Prices | None] = {f"arms.{name}.prices": arm.prices for name, arm in spec.arms.items()}
    wanted = {f"arms.{name}.prices" for name in bases}
    for name, arm in spec.arms.items():
        if isinstance(arm.source, Sft):
            places[f"arms.{name}.sft.rewriter.prices"] = arm.source.rewriter.prices
    if spec.judge is not None:
        places["grading.judge.prices"] = spec.judge.prices
    for path, prices in places.items():
        price = prices.training_per_million if prices is not None else None
        if price is None:
            continue
        if path not in wanted:
            yield (
                f"{path}.training_per_million",
                "belongs to the prices of the endpoint arm that others are trained from",
            )
        elif not (math.isfinite(price) and price >= 0):
            yield f"{path}.training_per_million", f"is {price}; must be 0 or more"
