"""Recipes: protos -> domain values with their defaults."""

from __future__ import annotations

from candor.orchestrator.v1 import evaluation_pb2
from candor.rewriter.v1 import rewriter_pb2

from chassis.errors import FieldViolation
from services.orchestrator.convert.models import endpoint_from_proto, prices_from_proto, sampling_from
from services.orchestrator.domain import recipe as d
from services.orchestrator.domain.models import Sampling

# Rewrites are as long as what they rewrite, and should not wander.
_REWRITING = Sampling(temperature=0.7, max_tokens=2048)


# What a provider's fine-tuning API is told.
_AT_A_PROVIDER = ("epochs", "batch_size", "learning_rate_multiplier", "seed")


def sft_from_proto(
    path: str, message: evaluation_pb2.SftRecipe, problems: list[FieldViolation], *, provider: bool = False
) -> d.Sft:
    """A recipe.

    Args:
        path: Where it stands in the document.
        message: As it came.
        problems: Takes fields that have no domain form.
        provider: Whether its base is an endpoint, so that a provider trains.
    """
    training_path = f"{path}.training"
    style = _style(path, message, problems)
    share = message.corrections.share if message.corrections.HasField("share") else None
    default_share = d.CORRECTED_SHARE if style.corrective else 0.0
    return d.Sft(
        base=message.base,
        style=style,
        conversations=_conversations(message.conversations),
        size=message.size if message.HasField("size") else d.SIZE,
        validation_size=message.validation_size if message.HasField("validation_size") else d.VALIDATION_SIZE,
        rewriter=_rewriter(message.rewriter),
        corrections=default_share if share is None else share,
        training=_at_a_provider(training_path, message.training, problems)
        if provider
        else _training(training_path, message.training, problems),
        checkpoint=d.CheckpointChoice(
            epoch=message.checkpoint.epoch if message.checkpoint.HasField("epoch") else None,
            choose_on=message.checkpoint.choose_on,
        ),
        seed=message.seed if message.HasField("seed") else 1,
    )


def _style(path: str, message: evaluation_pb2.SftRecipe, problems: list[FieldViolation]) -> d.Style:
    if message.style_file:
        problems.append(FieldViolation(f"{path}.style_file", "is read by the client; send style_definition"))
    if not message.HasField("style_definition"):
        return d.Style(name=message.style)
    if message.style:
        problems.append(FieldViolation(f"{path}.style", "stands beside a style of your own; give one"))
    own = message.style_definition
    return d.Style(
        name=own.name,
        instruction=own.instruction,
        direction=own.direction,
        openings=tuple(own.openings),
        closings=tuple(own.closings),
        replacements=dict(own.replacements),
        own=True,
    )


def style_to_proto(style: d.Style) -> rewriter_pb2.Style:
    """The wire form of a style."""
    if not style.own:
        return rewriter_pb2.Style(builtin=style.name)
    return rewriter_pb2.Style(
        definition=rewriter_pb2.StyleDefinition(
            name=style.name,
            instruction=style.instruction,
            direction=style.direction,
            openings=style.openings,
            closings=style.closings,
            replacements=style.replacements,
        )
    )


def _conversations(message: evaluation_pb2.ConversationSource) -> d.ConversationRef:
    return d.ConversationRef(
        path=message.path,
        dataset=message.dataset,
        format=message.format,
        toxicity=message.toxicity,
        toxicity_threshold=message.toxicity_threshold if message.HasField("toxicity_threshold") else 0.5,
        unbalanced=message.unbalanced,
    )


def _rewriter(message: evaluation_pb2.RewriterSource) -> d.RewriterChoice:
    return d.RewriterChoice(
        endpoint=endpoint_from_proto(message.endpoint) if message.HasField("endpoint") else None,
        sampling=sampling_from(message.sampling, _REWRITING) if message.HasField("endpoint") else None,
        prices=prices_from_proto(message.prices) if message.HasField("prices") else None,
        spend_cap=message.spend_cap if message.HasField("spend_cap") else None,
    )


def _at_a_provider(
    path: str, message: evaluation_pb2.TrainingRecipe, problems: list[FieldViolation]
) -> d.ProviderTraining:
    given = {field.name: value for field, value in message.ListFields()}
    for name in given:
        if name not in _AT_A_PROVIDER:
            text = f"is for a base with a checkpoint; a provider takes {', '.join(_AT_A_PROVIDER)}: leave it out"
            problems.append(FieldViolation(f"{path}.{name}", text))
    return d.ProviderTraining(**{name: value for name, value in given.items() if name in _AT_A_PROVIDER})


def _training(path: str, message: evaluation_pb2.TrainingRecipe, problems: list[FieldViolation]) -> d.Training:
    if message.HasField("learning_rate_multiplier"):
        text = "is for a base with an endpoint, trained at its provider; here give learning_rate"
        problems.append(FieldViolation(f"{path}.learning_rate_multiplier", text))
    default = d.Training()

    def value(name: str) -> object:
        return getattr(message, name) if message.HasField(name) else getattr(default, name)  # type: ignore[arg-type]

    names = ("lora_r", "lora_alpha", "lora_dropout", "learning_rate", "epochs", "batch_size", "device_batch_size")
    more = ("max_length", "seed", "gradient_checkpointing", "warmup", "weight_decay", "processes")
    given = {name: value(name) for name in (*names, *more)}
    epochs = message.epochs if message.HasField("epochs") else default.epochs
    return d.Training(
        **given,  # type: ignore[arg-type]
        target_modules=tuple(message.target_modules),
        checkpoint_epochs=d.checkpoint_epochs(message.checkpoint_epochs, epochs),
        batching=message.batching or default.batching,
        precision=message.precision,
        schedule=message.schedule or default.schedule,
    )
