"""Bounds of the document's fields, as the API server checks them: by message and field of the protos.

Words come from the orchestrator's own constants; a test holds the ranges equal to what the orchestrator refuses. Every string,
list and map has a bound, because the cost of a rule is reckoned from the largest object that the schema allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chassis.sampling import OMITTABLE, TOKEN_LIMIT_FIELDS
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.recipe import FORMATS, STYLES, TOXICITY
from services.orchestrator.domain.spec import DEFAULT_MARGINS_PP
from services.orchestrator.domain.validate import WARMTH_METRICS

Schema = dict[str, Any]

MOST_ARMS = 32
NAME = 63
TEXT = 1024
GATES = tuple(DEFAULT_MARGINS_PP)

REQUIRED = {
    "EvaluationSpec": ["arms", "baseline"],
    "Endpoint": ["base_url", "model"],
    "Checkpoint": ["path"],
    "SftRecipe": ["base", "conversations"],
    "StyleDefinition": ["name"],
    "Reuse": ["max_age"],
    "FalseAnswerSource": ["endpoint"],
    "JudgeSource": ["endpoint"],
    "Contrast": ["treated", "reference"],
}


def one_of(words: Iterable[str]) -> Schema:
    """A string that is one of these; the empty word stands for absent and is left out."""
    return {"enum": [word for word in words if word]}


def between(low: float, high: float) -> Schema:
    """A number from low to high."""
    return {"minimum": low, "maximum": high}


def above(low: float, high: float) -> Schema:
    """A number above low, at most high."""
    return {"minimum": low, "exclusiveMinimum": True, "maximum": high}


def below(low: float, high: float) -> Schema:
    """A number from low, below high."""
    return {"minimum": low, "maximum": high, "exclusiveMaximum": True}


_NAME: Schema = {"minLength": 1, "maxLength": NAME}
_WHOLE: Schema = {"minimum": 1, "maximum": 2**31 - 1}
_SEED: Schema = {"minimum": -(2**53), "maximum": 2**53}
_SHARE = between(0, 1)
_PRICE: Schema = {"minimum": 0}

# Of a scalar, or of each item of a list or map.
BOUNDS: dict[str, Schema] = {
    "EvaluationSpec.name": {"maxLength": 253},
    "EvaluationSpec.baseline": _NAME,
    "EvaluationSpec.repeats": between(1, 100),
    "Arm.revision": {"maxLength": 253},
    "SftRecipe.base": _NAME,
    "SftRecipe.style": one_of(STYLES),
    "SftRecipe.size": between(1, 1_000_000),
    "SftRecipe.validation_size": between(1, 1_000_000),
    "SftRecipe.seed": _SEED,
    "ConversationSource.format": one_of(FORMATS),
    "ConversationSource.toxicity": one_of(TOXICITY),
    "ConversationSource.toxicity_threshold": above(0, 1),
    "RewriterSource.spend_cap": {"minimum": 0, "exclusiveMinimum": True},
    "Corrections.share": below(0, 1),
    "TrainingRecipe.lora_r": between(1, 512),
    "TrainingRecipe.lora_alpha": above(0, 4096),
    "TrainingRecipe.lora_dropout": below(0, 1),
    "TrainingRecipe.target_modules": {"minLength": 1, "maxLength": 253},
    "TrainingRecipe.learning_rate": above(0, 1),
    "TrainingRecipe.epochs": above(0, 1000),
    "TrainingRecipe.batch_size": between(1, 4096),
    "TrainingRecipe.device_batch_size": between(1, 4096),
    "TrainingRecipe.max_length": between(8, 1_048_576),
    "TrainingRecipe.checkpoint_epochs": above(0, 1000),
    "TrainingRecipe.seed": between(0, 2**32 - 1),
    "TrainingRecipe.batching": one_of(("group_by_length", "packing", "plain")),
    "TrainingRecipe.precision": one_of(("bf16", "fp32")),
    "TrainingRecipe.schedule": one_of(("linear", "constant", "cosine")),
    "TrainingRecipe.warmup": below(0, 1),
    "TrainingRecipe.learning_rate_multiplier": above(0, 100),
    "TrainingRecipe.weight_decay": between(0, 1),
    "TrainingRecipe.processes": between(1, 4096),
    "CheckpointChoice.epoch": above(0, 1000),
    "CheckpointChoice.choose_on": _NAME,
    "Reuse.max_age": {"minLength": 2, "maxLength": 32, "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*[smhdw]\s*$"},
    "Prices.prompt_per_million": _PRICE,
    "Prices.completion_per_million": _PRICE,
    "Prices.training_per_million": _PRICE,
    "TaskSource.name": {"maxLength": 253},
    "TaskSource.items": _WHOLE,
    "Conditions.contexts": one_of(CONTEXTS),
    "Conditions.beliefs": one_of(BELIEFS),
    "Grading.refusal_profile": one_of(("candor", "ibrahim2026")),
    "JudgeSource.max_tokens": _WHOLE,
    "Warmth.metric": one_of(WARMTH_METRICS),
    "Warmth.estimator": one_of(("reference", "exact")),
    "Gate.mode": one_of(("verdict", "none")),
    "Gate.candidates": _NAME,
    "Gate.margin_pp": above(0, 100),
    "Gate.margins_pp": above(0, 100),
    "Gate.alpha": above(0, 0.5),
    "Gate.stopping": one_of(("group", "fixed", "anytime")),
    "Gate.fail_on": one_of(("margin", "any_worsening")),
    "Gate.critical": one_of(GATES),
    "Gate.advisory": one_of(GATES),
    "Contrast.name": {"maxLength": 253},
    "Contrast.treated": _NAME,
    "Contrast.reference": _NAME,
    "Planning.discordance": _SHARE,
    "Planning.rho": _SHARE,
    "Planning.judge_share": _SHARE,
    "Endpoint.base_url": {"minLength": 1, "maxLength": 2048},
    "Endpoint.model": {"minLength": 1, "maxLength": 253},
    "Endpoint.api_key_env": {"maxLength": 253},
    "Endpoint.credential": {"maxLength": 253},
    "Checkpoint.path": {"minLength": 1, "maxLength": TEXT},
    "SystemPrompt.text": {"minLength": 1, "maxLength": 32_768},
    "SystemPrompt.builtin": one_of(("warm", "cold")),
    "Sampling.temperature": between(0, 2),
    "Sampling.max_tokens": between(1, 32_768),
    "Sampling.top_p": above(0, 1),
    "Sampling.seed": _SEED,
    "Sampling.omit": one_of(OMITTABLE),
    "Sampling.max_tokens_field": one_of(TOKEN_LIMIT_FIELDS),
    "StyleDefinition.name": {"minLength": 1, "maxLength": NAME, "pattern": "^[A-Za-z0-9_-]+$"},
    "StyleDefinition.instruction": {"maxLength": 16_384},
    "StyleDefinition.direction": one_of(("warmer", "colder", "same")),
}

# Most items of lists and entries of maps; all others have `MOST`.
MOST = 64
COUNTS: dict[str, Schema] = {
    "EvaluationSpec.arms": {"minProperties": 1, "maxProperties": MOST_ARMS},
    "EvaluationSpec.tasks": {"maxItems": 32},
    "EvaluationSpec.contrasts": {"maxItems": 32},
    "Conditions.contexts": {"maxItems": len(CONTEXTS)},
    "Conditions.beliefs": {"maxItems": len(BELIEFS)},
    "Sampling.omit": {"maxItems": len(OMITTABLE)},
    "Gate.candidates": {"maxItems": MOST_ARMS},
    "Gate.margins_pp": {"maxProperties": len(GATES)},
    "Gate.critical": {"maxItems": len(GATES)},
    "Gate.advisory": {"maxItems": len(GATES)},
    "StyleDefinition.replacements": {"maxProperties": 512},
}
