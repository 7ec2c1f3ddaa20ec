"""Whether a LoRA adapter belongs to a base: read from its settings and from tensor names and shapes, nothing loaded.

Names in files differ from a library's module names in their outer prefix, so modules are compared from the layer
number on (`layers.3.self_attn.q_proj`). An adapter of which nothing at all has a place in the base is let through:
engines serve it as the base without a word, and the liveness canary finds it dead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.text import plain

Shapes = Mapping[str, tuple[int, ...]]
"""Tensor shapes by name."""

_WHERE = "model.checkpoint.adapter"
_LORA = re.compile(r"^(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<part>A|B)\.(?:[^.]+\.)?weight$")
# Each of these changes the base's own weights or needs what not every engine has; equal arms need one form.
_NEVER = (
    *("modules_to_save", "trainable_token_indices", "layer_replication", "target_parameters", "use_dora"),
    *("use_qalora", "use_bdlora", "lora_bias", "alora_invocation_tokens", "arrow_config", "megatron_config"),
    *("kasa_config", "monteclora_config", "velora_config"),
)
_CHANGES_BASE = ("pissa", "corda", "olora", "loftq")
# Notes about where an adapter came from, and what matters in training only.
_VOLATILE = frozenset({"base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "task_type"}) | {
    *("peft_version", "lora_dropout", "init_lora_weights", "megatron_core")
}


def check_config(config: Mapping[str, Any]) -> None:
    """Raise CandorError BAD_CHECKPOINT unless these are the settings of a plain LoRA adapter."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise _bad(f"peft_type is {plain(str(kind), 40)}; only LORA adapters can be served")
    if config.get("bias") not in (None, "none"):
        raise _bad("bias is trained, which changes the base itself; train with bias: none")
    if used := [name for name in _NEVER if config.get(name)]:
        raise _bad(f"{used[0]} is set; only plain LoRA can be served beside other arms of its base")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise _bad(
            f"init_lora_weights {plain(start, 40)} goes with a changed base; convert it to plain LoRA when saving"
        )
    if not isinstance(config.get("r"), int) or config["r"] < 1:
        raise _bad("r is not a positive number")
    if not config.get("target_modules"):
        raise _bad("target_modules is empty")


def check_fit(config: Mapping[str, Any], tensors: Shapes, base: Shapes) -> None:
    """Raise CandorError BAD_CHECKPOINT (not LoRA tensors) or ADAPTER_MISMATCH (trained on another base)."""
    modules = _modules(tensors)
    known: dict[str, list[tuple[int, ...]]] = {}
    for name, shape in base.items():
        known.setdefault(_tail(name.removesuffix(".weight")), []).append(shape)
    strange = [module for module in modules if _tail(module) not in known]
    if len(strange) == len(modules):
        if not _names_some(config["target_modules"], base):
            named = ", ".join(sorted(map(str, config["target_modules"]))[:3])
            raise _mismatch(f"the base has no module {plain(named, 120)}")
        return
    if strange:
        raise _mismatch(f"the base has no {plain(strange[0], 120)} ({len(strange)} of {len(modules)} modules)")
    for module, (a, b) in modules.items():
        if not any(_fits(a, b, shape) for shape in known[_tail(module)]):
            shape = known[_tail(module)][0]
            raise _mismatch(f"{plain(module, 120)} is {list(shape)} in the base and {[b[0], a[-1]]} in the adapter")


def shaping(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that shape replies, in one order (PEFT writes sets)."""
    kept = {key: value for key, value in config.items() if key not in _VOLATILE and value not in (None, False, [], {})}
    return {key: sorted(map(str, value)) if isinstance(value, list) else value for key, value in kept.items()}


def rank(config: Mapping[str, Any]) -> int:
    """The largest rank of any module."""
    patterns = config.get("rank_pattern") or {}
    return max([int(config["r"]), *(int(value) for value in patterns.values())])


def targets(config: Mapping[str, Any], tensors: Shapes) -> set[str]:
    """Last words of the modules that it changes; where its settings have a pattern, those of its tensors."""
    named = config["target_modules"]
    modules = _modules(tensors) if isinstance(named, str) else named
    return {str(module).rpartition(".")[2] for module in modules}


def _modules(tensors: Shapes) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes of A and B by module."""
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in tensors.items():
        found = _LORA.match(name)
        if found is None or len(shape) < 2:
            raise _bad(f"it holds {plain(name, 120)}, which is no LoRA weight; save it without embeddings and heads")
        parts.setdefault(found["module"], {})[found["part"]] = shape
    if not parts:
        raise _bad("it holds no weights")
    for module, pair in parts.items():
        if set(pair) != {"A", "B"} or pair["A"][0] != pair["B"][1]:
            raise _bad(f"A and B of {plain(module, 120)} do not belong together")
    return {module: (pair["A"], pair["B"]) for module, pair in parts.items()}


def _fits(a: tuple[int, ...], b: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return (b[0], a[-1]) in (shape, shape[::-1])  # some architectures keep their matrices transposed


def _tail(module: str) -> str:
    """A module's name from its layer number's owner on; the last word where there is none."""
    words = module.split(".")
    numbered = next((place for place, word in enumerate(words) if word.isdigit()), len(words))
    return ".".join(words[max(0, numbered - 1) :])


def _names_some(targets: str | Iterable[str], base: Shapes) -> bool:
    if isinstance(targets, str):
        return True  # a pattern, or `all-linear`: the library resolves it
    return any(_ends(name.removesuffix(".weight"), target) for target in targets for name in base)


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _mismatch(what: str) -> CandorError:
    message = f"{_WHERE}: {what}; it was trained on another model: name its own base in path"
    return CandorError(Reason.ADAPTER_MISMATCH, message)


def _bad(what: str) -> CandorError:
    return CandorError(Reason.BAD_CHECKPOINT, f"{_WHERE}: {what}")
