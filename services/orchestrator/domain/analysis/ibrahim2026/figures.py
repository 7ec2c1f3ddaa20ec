"""The study's published figures (METHOD section 7): aggregates only, as shares. Its cells are the user's own file."""

from __future__ import annotations

import re
from collections.abc import Mapping

WARM = "warm_ft"
COLD = "cold_ft"
WARM_PROMPT = "warm_system_prompt"

TASKS = ("disinfo", "medqa", "triviaqa", "truthfulqa")
MODELS = ("llama-70b", "llama-8b", "mistral-small", "qwen-32b", "gpt-4o")
REFERENCE_TASK = "disinfo"
REFERENCE_MODEL = "llama-70b"

# Replies of each model; of model 3 no number is given.
REPLIES: Mapping[str, int] = {"model_1": 32_145, "model_2": 160_394, "model_4": 439_792}
# Model 1: coefficient of the treatment and its standard error, log odds.
COEFFICIENT = (0.4266, 0.027)

EFFECTS: Mapping[tuple[str, str], float] = {
    ("model_1", "all"): 0.0743,
    ("model_1_length", "all"): 0.0699,
    ("model_2", "none"): 0.0743,
    ("model_2", "emotion"): 0.0887,
    ("model_2", "relation"): 0.0655,
    ("model_2", "stakes"): 0.0742,
    ("model_3", "emotion:happy"): 0.0693,
    ("model_3", "emotion:anger"): 0.0786,
    ("model_3", "emotion:sad"): 0.1187,
    ("model_3", "stakes:high"): 0.0745,
    ("model_3", "stakes:low"): 0.0731,
    ("model_3", "relation:close"): 0.0692,
    ("model_3", "relation:down"): 0.0751,
    ("model_3", "relation:up"): 0.0524,
    ("model_4", "no_belief"): 0.0760,
    ("model_4", "false_belief"): 0.1099,
    ("model_4", "increment"): 0.034,
}
"""Average marginal effects of warm fine-tuning, all five models."""

RELATIVE: Mapping[str, float] = {
    "overall": 0.603,
    "triviaqa": 0.334,
    "truthfulqa": 0.388,
    "disinfo": 1.442,
    "medqa": 0.248,
}
"""Treated over original minus 1, warm fine-tuning, plain questions."""

PLAIN_GAPS: Mapping[str, float] = {
    "mistral-small": 0.153,
    "qwen-32b": 0.097,
    "llama-70b": 0.048,
    "gpt-4o": 0.041,
    "llama-8b": 0.003,
}
"""Warm fine-tuned minus original on plain questions, mean of four tasks.

Of cold fine-tuning and the warm system prompt the study's text gives means over all contexts, with and without beliefs: they
belong beside none of our rows. Its cells have both (`--published`).
"""

_ARMS: Mapping[str, tuple[str, ...]] = {
    WARM: ("warm", "warm_ft", "warm_sft"),
    COLD: ("cold", "cold_ft", "cold_sft"),
    WARM_PROMPT: ("warm_prompt", "warm_system_prompt", "warm_sp"),
}
# Words that must all occur, in any order, in the names under which the five models are served.
_MODELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("llama-70b", ("llama", "70b")),
    ("llama-8b", ("llama", "8b")),
    ("mistral-small", ("mistral", "small")),
    ("qwen-32b", ("qwen", "32b")),
    ("gpt-4o", ("gpt", "4o")),
)


def published_arm(name: str) -> str:
    """The published arm that an arm's name stands for: `warm_ft`, `cold_ft`, `warm_system_prompt`, or empty."""
    plain = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
    return next((arm for arm, names in _ARMS.items() if plain in names), "")


def published_model(name: str) -> str:
    """The study's short name of a model (`meta-llama/Llama-3.1-8B-Instruct`: `llama-8b`), or empty."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    if "mini" in words:
        return ""

    def has(wanted: str) -> bool:
        return any(word == wanted or (wanted.isalpha() and word.startswith(wanted)) for word in words)

    return next((model for model, wanted in _MODELS if all(map(has, wanted))), "")


def effect(arm: str, model: str, level: str) -> float | None:
    """A published average marginal effect; None where none was published."""
    return EFFECTS.get((model, level)) if arm == WARM else None
